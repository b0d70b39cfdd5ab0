//! The hall: wires the four servants together by workflows and an internal event bus.

pub use byggvir;
pub use roskva;
pub use skirnir;
pub use thjalfi;

pub use crate::{
    config::GladsheimConfig,
    definition::{Dependency, DependencyCondition, ServiceDefinition},
    error::{GladsheimError, Result},
    event::{Event, EventKind, ServiceEvent},
    status::ServiceStatus,
};

mod config;
mod definition;
mod error;
mod event;
mod status;
