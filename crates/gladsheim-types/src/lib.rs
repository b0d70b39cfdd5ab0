//! The few data types that two or more of Gladsheim's servants share.
//!
//! Plain values without I/O and without tokio. Each servant re-exports the types that the
//! specification lists under it, so that the specification's paths stay true; depend on this crate
//! only where you need the types without any servant.

pub use crate::{
    cause::Cause,
    health::{HealthCheckStrategy, HealthStatus, ServiceHealth},
    resource::{Platform, ResourceLimits, ResourceUsage},
};

mod cause;
mod health;
mod resource;

/// The README's example, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
