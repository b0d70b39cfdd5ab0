//! The hall: wires the four servants together by workflows and an internal event bus.

pub use byggvir;
pub use roskva;
pub use skirnir;
pub use thjalfi;

pub use crate::{
    bus::Subscription,
    config::GladsheimConfig,
    definition::{Dependency, DependencyCondition, ServiceDefinition},
    error::{GladsheimError, Result},
    event::{Event, EventKind, ServiceEvent},
    gladsheim::{BringUpProgress, Gladsheim, StartOverrides, StopOptions, WaitCondition},
    status::ServiceStatus,
};

mod bus;
mod config;
mod definition;
mod error;
mod event;
mod gladsheim;
mod status;
