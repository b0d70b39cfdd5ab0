//! Figures and facts in words.

use std::time::Duration;

use gladsheim_proto::v1::ServiceStatus;

/// `12.3 MiB`
pub(crate) fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB"].into_iter().peekable();
    while let Some(unit) = units.next() {
        if value < 1024.0 || units.peek().is_none() {
            return if unit == "B" {
                format!("{bytes} B")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1024.0;
    }
    format!("{bytes} B")
}

/// A stretch of time by its largest units: `850 ms`, `1.2 s`, `42 s`, `3 m 5 s`, `2 h 10 m`, `4 d 1 h`.
pub(crate) fn span(span: Duration) -> String {
    let (seconds, millis) = (span.as_secs(), span.subsec_millis());
    match seconds {
        0 => format!("{millis} ms"),
        1..10 => format!("{seconds}.{} s", millis / 100),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} m {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// Why a service is in its state: what is about to happen, and what brought it there.
pub(crate) fn explain(status: &ServiceStatus, now_unix_ms: i64) -> String {
    let next = status.next_attempt_at_unix_ms.map(|at| {
        let wait = u64::try_from(at.saturating_sub(now_unix_ms)).unwrap_or(0);
        // Counts down to 1, and is never "in 0 s".
        match wait.div_ceil(1000).max(1) {
            seconds @ 0..60 => format!("restarting in {seconds} s"),
            seconds => format!("restarting in {}", span(Duration::from_secs(seconds))),
        }
    });
    let past = match (
        status.reason.as_deref().filter(|reason| !reason.is_empty()),
        &*status.state,
    ) {
        (Some(reason), _) => Some(reason.to_owned()),
        (None, "running" | "starting" | "stopping") => complaint(status),
        (None, _) => ending(status),
    };
    [next, attempts(status), past]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(", ")
}

/// How many attempts there have been: `2 of 3 attempts in 10 min`.
fn attempts(status: &ServiceStatus) -> Option<String> {
    let counts = matches!(&*status.state, "restarting" | "failed");
    match (status.attempts, status.max_attempts) {
        (0, _) => None,
        _ if !counts => None,
        (attempt, 0) => Some(format!("attempt {attempt}")),
        (attempt, max) => {
            let window = window(Duration::from_millis(status.attempts_window_ms));
            Some(format!("{attempt} of {max} attempts in {window}"))
        }
    }
}

/// A round stretch of time, as it is written in a hall file: `10 min`, `1 h`.
fn window(window: Duration) -> String {
    match window.as_secs() {
        seconds if seconds > 0 && seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        seconds if seconds > 0 && seconds % 60 == 0 => format!("{} min", seconds / 60),
        _ => span(window),
    }
}

/// What is wrong with a service that runs.
fn complaint(status: &ServiceStatus) -> Option<String> {
    let is_bad = matches!(&*status.health, "unhealthy" | "timeout");
    let said = Some(&status.health_message).filter(|said| is_bad && !said.is_empty());
    said.cloned()
}

/// How the last run ended.
fn ending(status: &ServiceStatus) -> Option<String> {
    let code = || status.exit_code.map(|code| format!("exit code {code}"));
    let signal = || status.signal.map(|signal| format!("signal {signal}"));
    let said = || {
        status
            .error_message
            .clone()
            .filter(|message| !message.is_empty())
    };
    Some(match status.cause.as_deref()? {
        "exit" => code().or_else(said)?,
        "signal" => signal().or_else(said)?,
        "user" => "stopped by hand".to_owned(),
        "shutdown" => "stopped with the hall".to_owned(),
        "unknown" => said().unwrap_or_else(|| "exit status unknown".to_owned()),
        "oom" => said().unwrap_or_else(|| "out of memory".to_owned()),
        "startup_timeout" => said().unwrap_or_else(|| "not ready in time".to_owned()),
        other => said().unwrap_or_else(|| other.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_unit_that_fits() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(12_897_484), "12.3 MiB");
        assert_eq!(bytes(u64::MAX), "16777216.0 TiB");
    }

    #[test]
    fn a_span_shows_its_two_largest_units() {
        assert_eq!(span(Duration::from_millis(850)), "850 ms");
        assert_eq!(span(Duration::from_millis(1250)), "1.2 s");
        assert_eq!(span(Duration::from_secs(185)), "3 m 5 s");
        assert_eq!(span(Duration::from_secs(7800)), "2 h 10 m");
        assert_eq!(span(Duration::from_secs(349_200)), "4 d 1 h");
    }

    #[test]
    fn a_service_in_back_off_says_when_and_why() {
        let mut status = ServiceStatus {
            state: "restarting".into(),
            cause: Some("exit".into()),
            exit_code: Some(1),
            next_attempt_at_unix_ms: Some(12_500),
            ..ServiceStatus::default()
        };
        assert_eq!(explain(&status, 10_000), "restarting in 3 s, exit code 1");
        assert_eq!(explain(&status, 99_000), "restarting in 1 s, exit code 1");
        status.next_attempt_at_unix_ms = Some(3_610_000);
        assert_eq!(
            explain(&status, 10_000),
            "restarting in 1 h 0 m, exit code 1"
        );
        status.next_attempt_at_unix_ms = Some(12_500);
        status.reason = Some("killed by the load".into());
        assert_eq!(
            explain(&status, 10_000),
            "restarting in 3 s, killed by the load"
        );
        status.reason = None;
        (status.attempts, status.max_attempts) = (2, 3);
        status.attempts_window_ms = 600_000;
        assert_eq!(
            explain(&status, 10_000),
            "restarting in 3 s, 2 of 3 attempts in 10 min, exit code 1"
        );
        status.max_attempts = 0;
        assert_eq!(
            explain(&status, 10_000),
            "restarting in 3 s, attempt 2, exit code 1"
        );
    }

    #[test]
    fn a_service_that_was_given_up_says_after_how_many_attempts() {
        let mut status = ServiceStatus {
            state: "failed".into(),
            reason: Some("killed by signal 9".into()),
            attempts: 3,
            max_attempts: 3,
            attempts_window_ms: 90_000,
            ..ServiceStatus::default()
        };
        assert_eq!(
            explain(&status, 0),
            "3 of 3 attempts in 1 m 30 s, killed by signal 9"
        );
        status.state = "running".into();
        status.reason = None;
        assert_eq!(explain(&status, 0), "");
    }

    #[test]
    fn a_service_that_runs_badly_says_what_its_check_said() {
        let status = ServiceStatus {
            state: "running".into(),
            health: "unhealthy".into(),
            health_message: "HTTP status 503".into(),
            ..ServiceStatus::default()
        };
        assert_eq!(explain(&status, 0), "HTTP status 503");
    }

    #[test]
    fn a_running_service_needs_no_explanation_of_its_last_end() {
        let mut status = ServiceStatus {
            state: "running".into(),
            cause: Some("signal".into()),
            signal: Some(9),
            ..ServiceStatus::default()
        };
        assert_eq!(explain(&status, 0), "");
        status.state = "crashed".into();
        assert_eq!(explain(&status, 0), "signal 9");
    }
}
