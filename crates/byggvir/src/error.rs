//! What can go wrong when resources are measured and limited.

/// Errors of the resource manager; texts as in the specification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResourceManagerError {
    /// No service of this name is tracked.
    #[error("Service not found: {0}")]
    ServiceNotFound(String),

    /// Usage was asked for before `start_monitoring`.
    #[error("Monitoring not started")]
    MonitoringNotStarted,

    /// The limits make no sense; the text says which value and what is allowed.
    #[error("Invalid resource limits: {0}")]
    InvalidLimits(String),

    /// The operating system did not answer.
    #[error("System monitoring error: {0}")]
    SystemError(String),
}
