//! What can go wrong when services are started and stopped.

/// Errors of the service loader; texts as in the specification.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceLoaderError {
    /// No path is configured for this name.
    #[error("Service not found: {0}")]
    ServiceNotFound(String),

    /// It runs, or is being started, already.
    #[error("Service already running: {0}")]
    AlreadyRunning(String),

    /// The authoriser refused it; the text has the name and the reason.
    #[error("Unauthorized to start service: {0}")]
    Unauthorized(String),

    /// It was not ready in time; its whole process tree is gone.
    #[error("Startup timeout: {0}")]
    StartupTimeout(String),

    /// The process could not be started; the text has the name, the stage, the path and the errno.
    #[error("Process spawn failed: {0}")]
    SpawnFailed(String),

    /// There is no process to act upon.
    #[error("Service not running: {0}")]
    NotRunning(String),

    /// It did not stop in time, and `force_kill_after_timeout` is off: it still runs.
    #[error("Shutdown timeout: {0}")]
    ShutdownTimeout(String),

    /// An operation of the operating system failed.
    #[error("IO error: {0}")]
    Io(#[from] std::io::Error),
}
