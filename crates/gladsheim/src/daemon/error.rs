//! The hall's errors as gRPC statuses: code, machine-readable reason, and a text with the way out.

use gladsheim_core::{
    GladsheimError, byggvir::ResourceManagerError, roskva::HealthMonitorError,
    skirnir::ServiceRegistryError, thjalfi::ServiceLoaderError,
};
use gladsheim_proto::reason;
use tonic::{Code, Status};

/// A value of a request that makes no sense.
pub(super) fn invalid(message: impl Into<String>) -> Status {
    reason::status(Code::InvalidArgument, reason::INVALID_ARGUMENT, message)
}

/// What should not happen.
pub(super) fn internal(message: impl Into<String>) -> Status {
    reason::status(Code::Internal, reason::INTERNAL, message)
}

/// The hall's error as a status.
pub(super) fn status(error: GladsheimError) -> Status {
    let (code, reason) = match &error {
        GladsheimError::ServiceLoader(error) => loader(error),
        GladsheimError::ResourceManager(error) => resources(error),
        GladsheimError::HealthMonitor(error) => health(error),
        GladsheimError::ServiceRegistry(error) => registry(error),
        GladsheimError::AlreadyRunning(_) => (Code::AlreadyExists, reason::ALREADY_RUNNING),
        GladsheimError::Config(_) => (Code::InvalidArgument, reason::HALL_FILE),
        // It is a status already, with a reason of its own.
        GladsheimError::Grpc(status) => return status.clone(),
        GladsheimError::ServiceNotFound(_) => (Code::NotFound, reason::NOT_FOUND),
        GladsheimError::NotRunning(_) => (Code::FailedPrecondition, reason::NOT_RUNNING),
        GladsheimError::NeededByOthers { .. } => {
            (Code::FailedPrecondition, reason::NEEDED_BY_OTHERS)
        }
        GladsheimError::DependencyFailed { .. } => {
            (Code::FailedPrecondition, reason::DEPENDENCY_FAILED)
        }
        GladsheimError::Overtaken(_) => (Code::Aborted, reason::OVERTAKEN),
        GladsheimError::WaitFailed { .. } => (Code::FailedPrecondition, reason::WAIT_FAILED),
        GladsheimError::NotOpen(_) => (Code::FailedPrecondition, reason::NOT_OPEN),
        _ => (Code::Internal, reason::INTERNAL),
    };
    let text = match way_out(&error) {
        Some(way_out) => format!("{error} ({way_out})"),
        None => error.to_string(),
    };
    reason::status(code, reason, text)
}

fn loader(error: &ServiceLoaderError) -> (Code, &'static str) {
    match error {
        ServiceLoaderError::ServiceNotFound(_) => (Code::NotFound, reason::NOT_FOUND),
        ServiceLoaderError::AlreadyRunning(_) => (Code::AlreadyExists, reason::ALREADY_RUNNING),
        ServiceLoaderError::Unauthorized(_) => (Code::PermissionDenied, reason::UNAUTHORIZED),
        ServiceLoaderError::StartupTimeout(_) => (Code::DeadlineExceeded, reason::STARTUP_TIMEOUT),
        ServiceLoaderError::SpawnFailed(_) => (Code::Internal, reason::SPAWN_FAILED),
        ServiceLoaderError::NotRunning(_) => (Code::FailedPrecondition, reason::NOT_RUNNING),
        ServiceLoaderError::ShutdownTimeout(_) => {
            (Code::DeadlineExceeded, reason::SHUTDOWN_TIMEOUT)
        }
        ServiceLoaderError::Io(_) => (Code::Internal, reason::INTERNAL),
        _ => (Code::Internal, reason::INTERNAL),
    }
}

fn resources(error: &ResourceManagerError) -> (Code, &'static str) {
    match error {
        ResourceManagerError::ServiceNotFound(_) => (Code::NotFound, reason::NOT_FOUND),
        ResourceManagerError::MonitoringNotStarted => {
            (Code::FailedPrecondition, reason::NOT_MEASURED)
        }
        ResourceManagerError::InvalidLimits(_) => (Code::InvalidArgument, reason::INVALID_ARGUMENT),
        ResourceManagerError::SystemError(_) => (Code::Internal, reason::INTERNAL),
        _ => (Code::Internal, reason::INTERNAL),
    }
}

fn health(error: &HealthMonitorError) -> (Code, &'static str) {
    match error {
        HealthMonitorError::ServiceNotFound(_) => (Code::NotFound, reason::NOT_FOUND),
        // A check that fails is no error: this one could not be made, for want of a run.
        HealthMonitorError::HealthCheckFailed(_) => (Code::FailedPrecondition, reason::NOT_RUNNING),
        HealthMonitorError::AlreadyMonitoring(_) => (Code::AlreadyExists, reason::ALREADY_RUNNING),
        HealthMonitorError::Timeout(_) => (Code::DeadlineExceeded, reason::HEALTH_CHECK_TIMEOUT),
        HealthMonitorError::InvalidStrategy(_) => (Code::InvalidArgument, reason::INVALID_ARGUMENT),
        _ => (Code::Internal, reason::INTERNAL),
    }
}

fn registry(error: &ServiceRegistryError) -> (Code, &'static str) {
    match error {
        ServiceRegistryError::ServiceNotFound(_) => (Code::NotFound, reason::NOT_FOUND),
        _ => (Code::Internal, reason::INTERNAL),
    }
}

/// What a person can do about it, where that is not plain from the text.
fn way_out(error: &GladsheimError) -> Option<String> {
    let way_out = match error {
        GladsheimError::ServiceNotFound(_) => "`gladsheim status` lists the services".to_owned(),
        GladsheimError::AlreadyRunning(name)
        | GladsheimError::ServiceLoader(ServiceLoaderError::AlreadyRunning(name)) => {
            format!("`gladsheim restart {name}` starts it anew")
        }
        GladsheimError::NotRunning(name)
        | GladsheimError::ServiceLoader(ServiceLoaderError::NotRunning(name)) => {
            format!("`gladsheim start {name}` starts it")
        }
        GladsheimError::NeededByOthers { .. } => "`--force` stops those first".to_owned(),
        GladsheimError::ServiceLoader(ServiceLoaderError::StartupTimeout(_)) => {
            "its `startup_timeout` can be raised in the hall file; `gladsheim logs` shows what it said"
                .to_owned()
        }
        GladsheimError::ResourceManager(ResourceManagerError::MonitoringNotStarted) => {
            "`monitoring_interval` is 0 in the hall file".to_owned()
        }
        _ => return None,
    };
    Some(way_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_the_code_the_reason_and_the_way_out() {
        for (error, code, reason, text) in [
            (
                GladsheimError::NotRunning("thor".into()),
                Code::FailedPrecondition,
                reason::NOT_RUNNING,
                "Service not running: thor (`gladsheim start thor` starts it)",
            ),
            (
                GladsheimError::ServiceLoader(ServiceLoaderError::SpawnFailed(
                    "thor: exec: /bin/thor: ENOENT".into(),
                )),
                Code::Internal,
                reason::SPAWN_FAILED,
                "Service loader error: Process spawn failed: thor: exec: /bin/thor: ENOENT",
            ),
            (
                GladsheimError::NeededByOthers {
                    service_name: "freki".into(),
                    dependents: vec!["thor".into()],
                },
                Code::FailedPrecondition,
                reason::NEEDED_BY_OTHERS,
                "Service freki is needed by thor (`--force` stops those first)",
            ),
        ] {
            let status = status(error);
            assert_eq!(status.code(), code, "{status}");
            assert_eq!(reason::of(&status), Some(reason), "{status}");
            assert_eq!(status.message(), text);
        }
    }

    #[test]
    fn a_status_from_another_hall_is_passed_on() {
        let theirs = reason::status(Code::NotFound, reason::NOT_FOUND, "no such service");
        let ours = status(GladsheimError::Grpc(theirs));
        assert_eq!(ours.code(), Code::NotFound);
        assert_eq!(reason::of(&ours), Some(reason::NOT_FOUND));
    }
}
