//! Facts that the loader tells observers.

use std::time::SystemTime;

use crate::{Notice, ProcessExit};

/// A fact about a process, in the past tense.
///
/// A stream for observers: a slow one sees a gap. Whoever must act on an exit awaits
/// [`ServiceProcess::exited`](crate::ServiceProcess::exited) instead.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ProcessEvent {
    /// `exec` has succeeded.
    Started {
        /// Name of the service.
        service_name: String,
        /// Process id of the leader.
        pid: u32,
        /// When it was started.
        start_time: SystemTime,
    },
    /// The service said or showed that it is ready.
    Ready {
        /// Name of the service.
        service_name: String,
    },
    /// It said something of itself, by the `sd_notify` protocol; `Ready` is told on its own.
    Notified {
        /// Name of the service.
        service_name: String,
        /// What it said.
        notice: Notice,
    },
    /// The run has ended and its process tree is gone.
    Exited {
        /// Name of the service.
        service_name: String,
        /// Process id that the leader had.
        pid: u32,
        /// How it ended.
        exit: ProcessExit,
    },
    /// The authoriser refused a start.
    Refused {
        /// Name of the service.
        service_name: String,
        /// Why, and the way out.
        reason: String,
    },
    /// Lines of output could not be written and were dropped.
    OutputDropped {
        /// Name of the service.
        service_name: String,
        /// Lines dropped since the last such event.
        lines: u64,
    },
}
