//! What a service's actor can be asked for.

use roskva::{EndRequest, HealthStatusChange, ServiceHealth};
use skirnir::Cause;
use std::{sync::Arc, time::Duration};

use crate::{Result, ServiceDefinition, StartOverrides};

/// Takes the answer to a command. Called once; must not block.
pub(crate) type Reply = Box<dyn FnOnce(Result<()>) + Send>;

/// A request to the one task that may change a service.
pub(crate) enum Command {
    /// Start it, after what it depends on; answered when it is ready.
    Start {
        overrides: StartOverrides,
        /// Somebody else may have asked before: wait for the same outcome instead of refusing, and
        /// leave a restart that is due to its time.
        join: bool,
        reply: Reply,
    },
    /// Stop it gracefully; answered when its tree is gone.
    Stop {
        timeout: Option<Duration>,
        cause: Cause,
        reply: Reply,
    },
    /// Kill its tree at once; answered when it is gone.
    Kill { cause: Cause, reply: Reply },
    /// Stop it if it runs, and start it; answered when it is ready.
    Restart { reply: Reply },
    /// Stop it if it runs or is about to, and hold it down until `Resume`, for `cause`: a reload holds all
    /// but stopped services, a restart group (`Dependency`) those that are not waiting for their next attempt.
    /// Answered when its tree is gone.
    Suspend { cause: Cause, reply: Reply },
    /// Start it if it is held for `cause`; answered when it is ready, or with `NotRunning` if it is not held.
    Resume { cause: Cause, reply: Reply },
    /// Take on another definition; what can be applied at once is.
    Redefine {
        definition: Arc<ServiceDefinition>,
        reply: Reply,
    },
    /// The restart policy's delay has passed.
    NextAttempt { attempt: u32 },
    /// End the present run, and let the restart policy decide what follows; answered at once.
    EndRun {
        cause: Cause,
        request: EndRequest,
        reply: Reply,
    },
    /// Clear `failed` and the counted attempts.
    Reset { reply: Reply },
    /// Keep it running without checks, or go on checking.
    Maintenance { on: bool, reply: Reply },
    /// A check of it has ended.
    Health(ServiceHealth),
    /// The verdict about it changed.
    HealthChanged(HealthStatusChange),
    /// Its readiness check changed its mind.
    Readiness(bool),
}
