//! The hall: wires the four servants together by workflows and an internal event bus.
//!
//! # Theory of operation
//!
//! Every service has one actor (`actor.rs`), the only task that changes it. Commands, the end of a run
//! and everything the actor waits for arrive in its one loop, so that a service has one legal history
//! and at most one process. [`Gladsheim`] sends commands to the actors and reads the registry;
//! it holds no lock while it waits.
//!
//! The servants never meet. Each defines the ports that it needs (`ports.rs`), and what it tells in its own
//! stream the pump (`pump.rs`) carries to the registry and the bus. What must happen goes by call;
//! the bus carries facts that may be missed. The registry is written before the bus, and the bus before any
//! caller gets an answer.
//!
//! Construct [`Gladsheim`], open it by [`Gladsheim::start`], bring services up by
//! [`Gladsheim::bring_up`] or one by one, and end by [`Gladsheim::shutdown`]. Dropping it without a shutdown ends
//! its tasks, not the services.

pub use byggvir;
pub use roskva;
pub use skirnir;
pub use thjalfi;

pub use crate::{
    bus::{EventCounts, Subscription},
    config::GladsheimConfig,
    definition::{Dependency, DependencyCondition, FileMark, FileMarks, ServiceDefinition},
    error::{GladsheimError, Result},
    event::{Event, EventKind, ServiceEvent},
    gladsheim::Gladsheim,
    graph::find_cycle,
    group::{GroupStrategy, RestartGroup},
    reload::{Effect, FieldChange, Plan, PlanAction, PlanStep, plan},
    request::{BringUpProgress, StartOverrides, StopOptions, StopReport, WaitCondition},
    servants::{HallPorts, Servants},
    status::{ServiceDescription, ServiceStatus},
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
mod group;
mod journal;
mod ports;
mod pump;
mod query;
mod reload;
mod request;
mod servants;
#[cfg(test)]
mod specification;
mod status;
mod workflow;
