//! `upgrade`: the daemon executes its program anew, perhaps a newer one, and goes on as the same process.
//!
//! # Theory of operation
//!
//! First everything that could go wrong is tried while the daemon serves on: the [`Program`] is found
//! and asked whether it would go on with this hall, and the hall is prepared for it. Then calls and
//! streams end, and the process executes the program. What may not be let go for a moment goes along as open
//! descriptors ([`Handover`]): the lock of the state folder, and the control socket, in which whoever connects meanwhile
//! waits. All else is in the journal and with the keeper, as after a crash; only that the services are
//! still our children, and their exit statuses ours.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::{StreamExt as _, stream};
use gladsheim_core::Gladsheim;
use gladsheim_proto::{reason, v1::UpgradeResponse};
use tokio::{
    sync::{Mutex, Notify},
    task::spawn_blocking,
};
use tonic::{Code, Status, codegen::BoxStream};

pub(crate) use self::{
    handover::{Handover, Numbers, hear_signals},
    program::Program,
};
use super::error::status;

mod handover;
mod program;

/// How a daemon is upgraded. Clones share the turn.
#[derive(Debug, Clone)]
pub(super) struct Upgrader(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    hall: Gladsheim,
    /// `None` where this process does more than being a daemon.
    program: Option<Program>,
    state_dir: PathBuf,
    socket: PathBuf,
    /// One upgrade at a time; it holds what the hall has handed over.
    turn: Mutex<Option<Prepared>>,
    prepared: Notify,
    under_way: AtomicBool,
}

/// All that it takes to execute the program.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    program: Program,
    /// Number of the last event.
    pub(super) events: u64,
}

impl Prepared {
    pub(super) fn path(&self) -> &Path {
        self.program.path()
    }

    /// Executes the program in place of this one; returns why it cannot.
    pub(super) fn execute(&self, handover: &Handover) -> io::Error {
        match handover.execute(&self.program) {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }
}

impl Upgrader {
    pub(super) fn new(
        hall: Gladsheim,
        program: Option<Program>,
        state_dir: PathBuf,
        socket: PathBuf,
    ) -> Self {
        Self(Arc::new(Inner {
            hall,
            program,
            state_dir,
            socket,
            turn: Mutex::default(),
            prepared: Notify::new(),
            under_way: AtomicBool::new(false),
        }))
    }

    /// Does all but the execution, which the daemon's own task is told to do. Not to be dropped half way.
    pub(super) async fn prepare(&self) -> Result<UpgradeResponse, Status> {
        let Some(program) = self.0.program.clone() else {
            return Err(refused(
                "the daemon belongs to an `up` in a terminal; end that and use `up --detach`, or `daemon`",
            ));
        };
        let mut turn = self.0.turn.lock().await;
        if turn.is_some() {
            return Err(refused("it is being upgraded already"));
        }
        let (state_dir, socket) = (self.0.state_dir.clone(), self.0.socket.clone());
        let candidate = program.clone();
        let tried = spawn_blocking(move || candidate.try_out(&state_dir, &socket)).await;
        let response = UpgradeResponse {
            program: program.path().display().to_string(),
            version: tried.map_err(|error| Status::internal(error.to_string()))??,
        };
        let events = self.0.hall.hand_over().await.map_err(|error| {
            let text = status(error).message().to_owned();
            refused(format!("not now: {text}"))
        })?;
        *turn = Some(Prepared { program, events });
        self.0.under_way.store(true, Ordering::Release);
        self.0.prepared.notify_one();
        Ok(response)
    }

    /// Waits until everything is prepared.
    pub(super) async fn prepared(&self) -> Prepared {
        loop {
            self.0.prepared.notified().await;
            if let Some(prepared) = &*self.0.turn.lock().await {
                return prepared.clone();
            }
        }
    }

    /// The program could not be executed after all: everything goes on.
    pub(super) async fn failed(&self, error: &io::Error) {
        tracing::error!(%error, "not upgraded: the program cannot be executed");
        self.0.hall.go_on();
        self.0.under_way.store(false, Ordering::Release);
        *self.0.turn.lock().await = None;
    }

    /// A stream that says why it ends where that is an upgrade.
    pub(super) fn explain<T: Send + 'static>(&self, messages: BoxStream<T>) -> BoxStream<T> {
        let upgrader = self.clone();
        let why = stream::once(async move { upgrader.is_under_way().then(upgrading) });
        let why = why.filter_map(async |why| why.map(Err));
        Box::pin(messages.chain(why))
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.0.under_way.load(Ordering::Acquire)
    }
}

/// Why a call ends.
pub(super) fn upgrading() -> Status {
    let text = "the daemon is being upgraded; it answers again in a moment";
    reason::status(Code::Unavailable, reason::UPGRADING, text)
}

fn refused(why: impl std::fmt::Display) -> Status {
    let text = format!("not upgraded: {why}");
    reason::status(Code::FailedPrecondition, reason::NOT_UPGRADED, text)
}
