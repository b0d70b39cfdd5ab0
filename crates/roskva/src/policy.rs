//! The policy of the monitor: functions of values, without clock, lock, task or randomness of their own.
//!
//! Times are durations since the monitor was made, so that a test can walk through years in a loop.

pub(crate) mod backoff;
pub(crate) mod budget;
pub(crate) mod gate;
pub(crate) mod guard;
pub(crate) mod restart;
pub(crate) mod threshold;
