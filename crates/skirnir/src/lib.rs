//! Skirnir, the service registry: knows who runs, in which state, since when and why.

pub use gladsheim_types::{Cause, ResourceUsage, ServiceHealth};

pub use crate::{
    api::{ServiceRegistryApi, ServiceRegistryExt, StateListener},
    error::ServiceRegistryError,
    event::{RunEnd, StateChange, Transition},
    metadata::{ServiceMetadata, ServiceStatistics},
    state::ServiceState,
};

mod api;
mod error;
mod event;
mod metadata;
mod state;
