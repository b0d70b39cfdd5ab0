//! Byggvir, the resource manager: measures RAM and CPU of whole process trees, enforces limits,
//! minds the battery.

pub use gladsheim_types::{Platform, ResourceLimits, ResourceUsage};

pub use crate::{
    api::{LimitHandler, ResourceManagerApi, ResourceManagerExt, ViolationListener},
    config::{LimitAction, LimitPolicy, OomPolicy, ProcessTree, ResourceManagerConfig},
    error::ResourceManagerError,
    event::{LimitViolation, ResourceEvent, ViolationType},
    usage::SystemResourceUsage,
};

mod api;
mod config;
mod error;
mod event;
mod usage;
