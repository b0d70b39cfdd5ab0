//! The watchdog: a service that stops telling that it is alive.

use std::{fmt, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use crate::actor::reached;

/// The variable that tells a service its interval, in microseconds.
pub(crate) const VARIABLE: &str = "WATCHDOG_USEC";
/// Time in which a message that was sent before the deadline, and lies in the socket, may still be read.
const GRACE: Duration = Duration::from_millis(50);

/// What a service said last.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum KeepAlive {
    #[default]
    Nothing,
    At(Instant),
    /// `WATCHDOG=trigger`
    Refused,
}

/// Why a watchdog has gone off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchdogAlarm {
    /// The service was silent for this time.
    Silent(Duration),
    /// It asked for it, by `WATCHDOG=trigger`.
    Triggered,
}

impl fmt::Display for WatchdogAlarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(interval) => write!(f, "no WATCHDOG=1 for {interval:?}"),
            Self::Triggered => f.write_str("WATCHDOG=trigger"),
        }
    }
}

/// Waits for the alarm.
pub(crate) async fn alarm(told: watch::Receiver<KeepAlive>, interval: Duration) -> WatchdogAlarm {
    let mut triggered = told.clone();
    let silent = async {
        let mut last = Instant::now();
        loop {
            reached(last.checked_add(interval)).await;
            sleep(GRACE.min(interval)).await;
            match *told.borrow() {
                KeepAlive::At(at) if at > last => last = at,
                KeepAlive::At(_) | KeepAlive::Nothing | KeepAlive::Refused => return,
            }
        }
    };
    tokio::select! {
        biased;
        Ok(_) = triggered.wait_for(|said| matches!(said, KeepAlive::Refused)) => {
            WatchdogAlarm::Triggered
        }
        () = silent => WatchdogAlarm::Silent(interval),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn silence_is_counted_from_the_call_and_from_each_message() {
        let told = watch::Sender::new(KeepAlive::At(Instant::now()));
        tokio::time::advance(SECOND * 100).await;
        let begin = Instant::now();
        let messages = async {
            for _ in 0..5 {
                sleep(SECOND * 8).await;
                told.send_replace(KeepAlive::At(Instant::now()));
            }
        };
        let interval = SECOND * 10;
        let (alarm, ()) = tokio::join!(alarm(told.subscribe(), interval), messages);
        assert_eq!(alarm, WatchdogAlarm::Silent(interval));
        let waited = begin.elapsed();
        assert!(waited >= SECOND * 50 && waited < SECOND * 51, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn message_that_is_read_a_little_late_counts() {
        let told = watch::Sender::new(KeepAlive::Nothing);
        let late = async {
            sleep(SECOND + GRACE / 2).await;
            told.send_replace(KeepAlive::At(Instant::now()));
        };
        let begin = Instant::now();
        tokio::join!(alarm(told.subscribe(), SECOND), late);
        assert!(begin.elapsed() >= SECOND * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn trigger_is_the_alarm_at_once() {
        let told = watch::Sender::new(KeepAlive::Nothing);
        let begin = Instant::now();
        let trigger = async { told.send_replace(KeepAlive::Refused) };
        let (alarm, _) = tokio::join!(alarm(told.subscribe(), SECOND), trigger);
        assert_eq!(alarm, WatchdogAlarm::Triggered);
        assert!(begin.elapsed() < SECOND);
    }
}
