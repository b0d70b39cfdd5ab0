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
    graph::find_cycle,
    servants::Servants,
    status::ServiceStatus,
};

mod actor;
mod bus;
mod config;
mod definition;
mod directory;
mod error;
mod event;
mod gladsheim;
mod graph;
mod ports;
mod pump;
mod servants;
#[cfg(test)]
mod specification;
mod status;
mod workflow;
