//! Machine-readable reasons of errors, carried beside the gRPC code.

use tonic::{Code, Status, metadata::MetadataValue};

/// Metadata key of an error's reason.
pub const REASON_KEY: &str = "gladsheim-reason";

/// No service has this name. NOT_FOUND.
pub const NOT_FOUND: &str = "not_found";
/// It runs, or is being started, already. ALREADY_EXISTS.
pub const ALREADY_RUNNING: &str = "already_running";
/// There is no run to act upon. FAILED_PRECONDITION.
pub const NOT_RUNNING: &str = "not_running";
/// Running services depend on it: stopping it takes `force`. FAILED_PRECONDITION.
pub const NEEDED_BY_OTHERS: &str = "needed_by_others";
/// Something that it depends on failed. FAILED_PRECONDITION.
pub const DEPENDENCY_FAILED: &str = "dependency_failed";
/// What was waited for cannot come true any more. FAILED_PRECONDITION.
pub const WAIT_FAILED: &str = "wait_failed";
/// The hall is shutting down, or not open yet. FAILED_PRECONDITION.
pub const NOT_OPEN: &str = "not_open";
/// The daemon cannot be upgraded, or not now: it goes on as it is. FAILED_PRECONDITION.
pub const NOT_UPGRADED: &str = "not_upgraded";
/// The daemon is executing its program anew; it answers again in a moment. UNAVAILABLE.
pub const UPGRADING: &str = "upgrading";
/// Another command ended this one. ABORTED.
pub const OVERTAKEN: &str = "overtaken";
/// The authoriser refused the program. PERMISSION_DENIED.
pub const UNAUTHORIZED: &str = "unauthorized";
/// The caller may not do this. PERMISSION_DENIED.
pub const ACCESS_DENIED: &str = "access_denied";
/// The call's own deadline has passed, or its request was not complete in time. What the call had begun goes on.
/// DEADLINE_EXCEEDED.
pub const DEADLINE_EXCEEDED: &str = "deadline_exceeded";
/// It was not ready in time. DEADLINE_EXCEEDED.
pub const STARTUP_TIMEOUT: &str = "startup_timeout";
/// It did not stop in time, and still runs. DEADLINE_EXCEEDED.
pub const SHUTDOWN_TIMEOUT: &str = "shutdown_timeout";
/// A health check that was asked for did not end in time. DEADLINE_EXCEEDED.
pub const HEALTH_CHECK_TIMEOUT: &str = "health_check_timeout";
/// The process could not be started. INTERNAL.
pub const SPAWN_FAILED: &str = "spawn_failed";
/// A value of the request makes no sense. INVALID_ARGUMENT.
pub const INVALID_ARGUMENT: &str = "invalid_argument";
/// The hall file makes no sense. INVALID_ARGUMENT.
pub const HALL_FILE: &str = "hall_file";
/// The daemon's log belongs to the program that embeds it. FAILED_PRECONDITION.
pub const LOG_NOT_OURS: &str = "log_not_ours";
/// Usage is not measured, since sampling is off or has not begun. FAILED_PRECONDITION.
pub const NOT_MEASURED: &str = "not_measured";
/// This daemon cannot do that. UNIMPLEMENTED.
pub const UNSUPPORTED: &str = "unsupported";
/// Anything else. INTERNAL.
pub const INTERNAL: &str = "internal";

/// A status with a reason from this module.
pub fn status(code: Code, reason: &'static str, message: impl Into<String>) -> Status {
    let mut status = Status::new(code, message);
    status
        .metadata_mut()
        .insert(REASON_KEY, MetadataValue::from_static(reason));
    status
}

/// The reason of a status; `None` if it carries none, as a failure of the transport does.
pub fn of(status: &Status) -> Option<&str> {
    status.metadata().get(REASON_KEY)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_survives_the_status_it_is_put_into() {
        let refused = status(Code::FailedPrecondition, NEEDED_BY_OTHERS, "thor needs it");
        assert_eq!(of(&refused), Some(NEEDED_BY_OTHERS));
        assert_eq!(of(&Status::unavailable("gone")), None);
    }
}
