//! What can go wrong in the registry.

use crate::ServiceState;

/// Errors of the registry; texts as in the specification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceRegistryError {
    /// No service of this name is registered.
    #[error("Service not found: {0}")]
    ServiceNotFound(String),

    /// A service of this name is registered already.
    #[error("Service already registered: {0}")]
    AlreadyRegistered(String),

    /// The state machine does not lead from the first state to the second.
    #[error("Invalid state transition from {0:?} to {1:?}")]
    InvalidTransition(ServiceState, ServiceState),

    /// Shutdown has begun: nothing new is registered.
    #[error("Registry is locked")]
    RegistryLocked,
}
