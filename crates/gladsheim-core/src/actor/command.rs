//! What a service's actor can be asked for.

use roskva::{HealthStatusChange, ServiceHealth};
use skirnir::Cause;
use std::time::Duration;

use crate::{Result, StartOverrides};

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
    /// The restart policy's delay has passed.
    NextAttempt { attempt: u32 },
    /// End the present run, and let the restart policy decide what follows; answered at once.
    EndRun {
        cause: Cause,
        will_restart: bool,
        message: String,
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
