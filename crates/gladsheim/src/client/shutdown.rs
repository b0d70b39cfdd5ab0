//! `shutdown`: ends the daemon, and returns when it is gone.

use std::{fs, process::ExitCode, time::Duration};

use gladsheim_proto::v1::{GetDaemonRequest, ShutdownRequest};

use super::{CliError, Session};
use crate::{cli::Format, output::stop};

/// How often to look whether the process is still there.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// `shutdown`
pub(super) async fn shutdown(session: &Session) -> Result<ExitCode, CliError> {
    let refused = |status| CliError::of_status(None, status);
    let daemon = session
        .client
        .get_daemon(GetDaemonRequest {})
        .await
        .map_err(refused)?;
    let before = start_of(daemon.process_id);
    let result = session
        .client
        .shutdown(ShutdownRequest {})
        .await
        .map_err(refused);
    // A daemon that goes away in the middle of its answer has done what was asked.
    let slow_stops = match result {
        Ok(response) => response.slow_stops,
        Err(CliError::Gone(_)) => Vec::new(),
        Err(error) => return Err(error),
    };
    // There is no descriptor for a process that is not our child without a system call of our own, and
    // its start time tells it from a later one with the same number.
    while session.socket.is_some() && before.is_some() && start_of(daemon.process_id) == before {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    match session.output.format {
        Format::Json => session.output.json(&stop::document(&slow_stops))?,
        Format::Table => {
            for slow in &slow_stops {
                session.output.line(&stop::sentence(slow))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// When a process started, in ticks; `None` if there is none, or only its remains.
fn start_of(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name may have spaces and parentheses itself.
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    match fields.next()? {
        "Z" | "X" => None,
        _ => fields.nth(18)?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::start_of;

    #[test]
    fn a_process_has_a_start_and_nobody_has_none() {
        assert!(start_of(std::process::id()).is_some());
        assert_eq!(start_of(0), None);
    }
}
