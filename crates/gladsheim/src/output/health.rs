//! Verdicts about health.

use gladsheim_proto::v1::ServiceHealth;
use serde::Serialize;

use super::{Output, Style, rfc3339};

/// The JSON of one verdict.
#[derive(Debug, Serialize)]
pub(crate) struct HealthDocument<'a> {
    service_name: &'a str,
    status: &'a str,
    message: &'a str,
    last_check: Option<String>,
    next_check: Option<String>,
    consecutive_failures: u32,
    check_strategy: &'a str,
}

impl<'a> From<&'a ServiceHealth> for HealthDocument<'a> {
    fn from(health: &'a ServiceHealth) -> Self {
        let time = |unix_ms| (unix_ms != 0).then(|| rfc3339(unix_ms));
        Self {
            service_name: &health.service_name,
            status: &health.status,
            message: &health.message,
            last_check: time(health.last_check_unix_ms),
            next_check: time(health.next_check_unix_ms),
            consecutive_failures: health.consecutive_failures,
            check_strategy: &health.check_strategy,
        }
    }
}

/// One line about it.
pub(crate) fn sentence(health: &ServiceHealth, output: Output) -> String {
    let status = output.paint(Style::of_health(&health.status), &health.status);
    let mut line = format!("{}: {status}", health.service_name);
    if !health.message.is_empty() {
        line += &format!(" ({})", health.message);
    }
    if health.consecutive_failures > 0 {
        line += &format!(", {} failures in a row", health.consecutive_failures);
    }
    line
}
