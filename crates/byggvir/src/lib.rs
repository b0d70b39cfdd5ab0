//! Byggvir, the resource manager: measures RAM and CPU of whole process trees, enforces limits,
//! minds the battery.
//!
//! # Theory of operation
//!
//! One sampling task makes rounds. A round asks the probe for the counters of all services together,
//! makes rates of them and of those of the round before, and lets each service's alarms look at the
//! result. Alarms tell edges, not levels: up once, down once. A query reads what the last round has
//! left and waits for nobody; only the first one for a new run takes its sample by itself.
//!
//! A run of a service has a number that is never used again, and every sample carries it, so a sample
//! that was under way while the service was restarted is dropped.
//!
//! Limits go to the kernel where it can hold them, through the service's cgroup. What it cannot hold
//! the rounds watch: a limit that two samples in a row exceed is handed to the [`LimitHandler`], in a
//! task of its own, as the service's [`LimitPolicy`] says. [`ResourceManager::limits_enforced_by`] tells which it is.
//!
//! Pressure (see [`pressure`]) is looked at every 2 s, which is how often the kernel renews it, where there
//! is a limit for it: a warning up, and one down. What the kernel kills for want of memory it announces.
//!
//! On Alfheim, if `battery_aware`, the sampling task also looks at the battery, every 30 s or every
//! round if that is longer, also where there are no rounds, tells [`ResourceEvent::BatteryLow`] and
//! `BatteryOk`, and makes its rounds [`STRETCH_ON_BATTERY`] times as far apart while the machine
//! discharges. What stops for it is the owner's business.
//!
//! Depend on [`ResourceManagerApi`]; construct [`ResourceManager`].

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use gladsheim_types::{Platform, ResourceLimits, ResourceUsage};

pub use crate::{
    api::{
        BatteryHandler, LimitHandler, ResourceManagerApi, ResourceManagerExt, ViolationListener,
    },
    battery::BatteryReading,
    config::{Backend, LimitAction, LimitPolicy, OomPolicy, ProcessTree, ResourceManagerConfig},
    enforce::{CgroupEnforcer, Enforced, LimitEnforcer},
    error::ResourceManagerError,
    event::{LimitViolation, ResourceEvent, ViolationType},
    manager::{ResourceManager, ResourceManagerPorts},
    power::{BatterySource, PowerSupplyClass},
    probe::{
        CgroupProbe, HostProbe, ProcfsProbe, SysinfoProbe, SystemProbe, SystemSample, TrackedTree,
        TreeSample, UsageDetail,
    },
    sampler::STRETCH_ON_BATTERY,
    usage::SystemResourceUsage,
};

mod api;
mod battery;
mod config;
mod contract;
mod enforce;
#[cfg(test)]
mod enforce_test;
mod error;
mod event;
pub mod limits;
mod lookout;
mod manager;
mod meter;
mod oom;
mod power;
pub mod pressure;
mod probe;
mod sampler;
mod table;
mod teller;
mod usage;
#[cfg(test)]
mod world;

/// Generated mocks of this crate's traits, for the tests of dependent crates.
#[cfg(any(test, feature = "mock"))]
pub mod mock {
    pub use crate::{
        api::{MockBatteryHandler, MockLimitHandler, MockResourceManagerApi},
        enforce::MockLimitEnforcer,
        power::MockBatterySource,
        probe::MockSystemProbe,
    };
}

/// Locks, whoever panicked while holding it: what our locks guard is valid between any two statements.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
