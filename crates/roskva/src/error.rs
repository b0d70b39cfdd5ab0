//! What can go wrong when services are checked.

/// Errors of the health monitor; texts as in the specification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HealthMonitorError {
    /// No service of this name is monitored.
    #[error("Service not found: {0}")]
    ServiceNotFound(String),

    /// A check that was asked for could not be carried out.
    #[error("Health check failed: {0}")]
    HealthCheckFailed(String),

    /// The present run of this service is monitored already.
    #[error("Monitoring already started for service: {0}")]
    AlreadyMonitoring(String),

    /// A check that was asked for did not end in time.
    #[error("Health check timeout: {0}")]
    Timeout(String),

    /// The strategy makes no sense; the text says which value and what is allowed.
    #[error("Invalid health check strategy: {0}")]
    InvalidStrategy(String),
}
