//! The error of the whole hall.

use byggvir::ResourceManagerError;
use roskva::HealthMonitorError;
use skirnir::ServiceRegistryError;
use thjalfi::ServiceLoaderError;

/// Result of the hall's operations (specification: Error-Handling).
pub type Result<T> = std::result::Result<T, GladsheimError>;

/// Any error of the hall; the specification's variants and texts, and what it left out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GladsheimError {
    /// Starting or stopping a process failed.
    #[error("Service loader error: {0}")]
    ServiceLoader(#[from] ServiceLoaderError),

    /// Measuring or limiting failed.
    #[error("Resource manager error: {0}")]
    ResourceManager(#[from] ResourceManagerError),

    /// Checking failed.
    #[error("Health monitor error: {0}")]
    HealthMonitor(#[from] HealthMonitorError),

    /// The registry refused a change.
    #[error("Service registry error: {0}")]
    ServiceRegistry(#[from] ServiceRegistryError),

    /// It runs, or is being started, already.
    #[error("Service already running: {0}")]
    AlreadyRunning(String),

    /// The configuration makes no sense; the text says where.
    #[error("Configuration error: {0}")]
    Config(String),

    /// A remote hall answered with an error.
    #[error("gRPC error: {0}")]
    Grpc(#[from] tonic::Status),

    /// Added: the hall knows no service of this name.
    #[error("Service not found: {0}")]
    ServiceNotFound(String),

    /// Added: there is no run to act upon.
    #[error("Service not running: {0}")]
    NotRunning(String),

    /// Added: running services need it; stopping it would take `--force`.
    #[error("Service {service_name} is needed by {}", dependents.join(", "))]
    NeededByOthers {
        /// The service that was to be stopped.
        service_name: String,
        /// The running services that depend on it directly, sorted.
        dependents: Vec<String>,
    },

    /// Added: something that it depends on failed.
    #[error("Service {service_name} was not started: {reason}")]
    DependencyFailed {
        /// The service that was to be started.
        service_name: String,
        /// Which dependency, and what about it.
        reason: String,
    },

    /// Added: another command ended this one, for example a stop during a slow start.
    #[error("Service {0}: the command was overtaken by another one")]
    Overtaken(String),

    /// Added: the run ended before what was waited for came true.
    #[error("Service {service_name} {reason}")]
    WaitFailed {
        /// The service that was waited for.
        service_name: String,
        /// What happened instead.
        reason: String,
    },

    /// Added: the journal cannot be read or written.
    #[error("The journal cannot be used: {0}")]
    Journal(String),

    /// Added: the hall is shutting down, or not started yet.
    #[error("The hall is not open: {0}")]
    NotOpen(String),
}

impl GladsheimError {
    /// The same error once more, for the second of several callers who wait for one outcome. Kind and
    /// text are kept; an I/O error loses its source.
    pub(crate) fn duplicate(&self) -> Self {
        match self {
            Self::ServiceLoader(error) => Self::ServiceLoader(duplicate_loader_error(error)),
            Self::ResourceManager(error) => Self::ResourceManager(error.clone()),
            Self::HealthMonitor(error) => Self::HealthMonitor(error.clone()),
            Self::ServiceRegistry(error) => Self::ServiceRegistry(error.clone()),
            Self::AlreadyRunning(name) => Self::AlreadyRunning(name.clone()),
            Self::Config(text) => Self::Config(text.clone()),
            Self::Grpc(status) => Self::Grpc(status.clone()),
            Self::ServiceNotFound(name) => Self::ServiceNotFound(name.clone()),
            Self::NotRunning(name) => Self::NotRunning(name.clone()),
            Self::NeededByOthers {
                service_name,
                dependents,
            } => Self::NeededByOthers {
                service_name: service_name.clone(),
                dependents: dependents.clone(),
            },
            Self::DependencyFailed {
                service_name,
                reason,
            } => Self::DependencyFailed {
                service_name: service_name.clone(),
                reason: reason.clone(),
            },
            Self::Overtaken(name) => Self::Overtaken(name.clone()),
            Self::WaitFailed {
                service_name,
                reason,
            } => Self::WaitFailed {
                service_name: service_name.clone(),
                reason: reason.clone(),
            },
            Self::Journal(text) => Self::Journal(text.clone()),
            Self::NotOpen(text) => Self::NotOpen(text.clone()),
        }
    }
}

fn duplicate_loader_error(error: &ServiceLoaderError) -> ServiceLoaderError {
    match error {
        ServiceLoaderError::ServiceNotFound(text) => {
            ServiceLoaderError::ServiceNotFound(text.clone())
        }
        ServiceLoaderError::AlreadyRunning(text) => {
            ServiceLoaderError::AlreadyRunning(text.clone())
        }
        ServiceLoaderError::Unauthorized(text) => ServiceLoaderError::Unauthorized(text.clone()),
        ServiceLoaderError::StartupTimeout(text) => {
            ServiceLoaderError::StartupTimeout(text.clone())
        }
        ServiceLoaderError::SpawnFailed(text) => ServiceLoaderError::SpawnFailed(text.clone()),
        ServiceLoaderError::NotRunning(text) => ServiceLoaderError::NotRunning(text.clone()),
        ServiceLoaderError::ShutdownTimeout(text) => {
            ServiceLoaderError::ShutdownTimeout(text.clone())
        }
        ServiceLoaderError::Io(error) => {
            std::io::Error::new(error.kind(), error.to_string()).into()
        }
        // The enum may grow in a later version of its crate.
        other => ServiceLoaderError::SpawnFailed(other.to_string()),
    }
}
