//! Reading the hall file again, and carrying out what changed: for clients, SIGHUP and changes of the file.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use gladsheim_core::Gladsheim;
use gladsheim_proto::{reason, v1::ReloadResponse};
use tokio::{
    sync::{Mutex, Notify},
    task::spawn_blocking,
    time::{Instant, sleep_until},
};
use tonic::{Code, Status};

use super::{
    access::AccessControl,
    convert,
    error::{internal, status},
    socket::{Audience, SocketPlace},
    tls::TlsIdentity,
};
use crate::hall::{Environment, Grants, Hall, HallError};

/// From the beginning of one reading to the next one: so much of the daemon's time a flood may have.
const PAUSE: Duration = Duration::from_millis(50);

type Outcome = Result<ReloadResponse, Status>;

/// Reloads the hall. Clones share the turn: one at a time, and whoever waits for theirs shares the next one, which
/// begins a pause after the one before.
#[derive(Debug, Clone)]
pub(super) struct Reloader {
    gladsheim: Gladsheim,
    file: Arc<Path>,
    /// What the file said of the daemon when it was started.
    daemon_keys: Arc<[(&'static str, String)]>,
    door: Arc<Door>,
    last: Arc<Turn>,
    last_plan: Arc<Turn>,
}

/// Who has asked for a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Somebody who could have looked at the plan.
    ByClient,
    /// A signal, or the file itself by its change.
    Unattended,
}

/// When the last reading began, for whom, and what came of it. Whose turn it is holds the lock until it is
/// carried out.
type Turn = Mutex<Option<(Instant, Asked, Outcome)>>;

/// What `[access]` decides.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) access: Arc<AccessControl>,
    pub(super) socket: SocketPlace,
    /// Of the door to the network, if there is one.
    pub(super) identity: Option<Arc<TlsIdentity>>,
}

impl Door {
    /// Lets in whom the hall file names now, and nobody else.
    fn open_to(&self, grants: Grants) {
        let audience = Audience::of(&grants);
        self.access.replace(grants);
        // Calls are decided already; the mode only says who can ask.
        if let Err(error) = self.socket.open_to(audience) {
            tracing::warn!(%error, "the control socket keeps its mode");
        }
    }
}

impl Reloader {
    pub(super) fn new(
        gladsheim: Gladsheim,
        file: PathBuf,
        daemon_keys: Vec<(&'static str, String)>,
        door: Door,
    ) -> Self {
        Self {
            gladsheim,
            file: file.into(),
            daemon_keys: daemon_keys.into(),
            door: Arc::new(door),
            last: Arc::default(),
            last_plan: Arc::default(),
        }
    }

    /// Reloads whenever it is asked to. Runs until dropped.
    pub(super) async fn run(self, asked: Arc<Notify>) {
        loop {
            asked.notified().await;
            // What was done the bus tells.
            if let Err(status) = self.reload(Asked::Unattended).await {
                tracing::error!(
                    "not reloaded, everything is as it was: {}",
                    status.message()
                );
            }
        }
    }

    /// What a reload would do now.
    pub(super) async fn plan(&self) -> Outcome {
        take_turn(&self.last_plan, Asked::ByClient, async {
            let Reading {
                hall, daemon_keys, ..
            } = self.read().await?;
            let plan = self.gladsheim.plan(&hall.config.services).map_err(status)?;
            Ok(convert::plan(plan, daemon_keys))
        })
        .await
    }

    /// Reloads; returns when it is carried out.
    ///
    /// Cancellation: what has begun is carried out, and `[access]` may stay as it was.
    pub(super) async fn reload(&self, asked: Asked) -> Outcome {
        take_turn(&self.last, asked, self.carry_out(asked)).await
    }

    async fn carry_out(&self, asked: Asked) -> Outcome {
        let Reading {
            hall,
            grants,
            daemon_keys,
        } = self.read().await?;
        if asked == Asked::Unattended && hall.config.services.is_empty() {
            self.refuse_if_something_runs()?;
        }
        let plan = self.gladsheim.reload(hall.config.services).await;
        let plan = plan.map_err(status)?;
        self.door.open_to(grants);
        if !daemon_keys.is_empty() {
            tracing::warn!(
                "changes of {} take effect when the daemon is started again",
                daemon_keys.join(", ")
            );
        }
        Ok(convert::plan(plan, daemon_keys))
    }

    /// A file without services may be one that is being written: nobody has looked at the plan.
    fn refuse_if_something_runs(&self) -> Result<(), Status> {
        let services = self.gladsheim.list_services();
        let running = services.iter().filter(|status| status.process_id != 0);
        match running.count() {
            0 => Ok(()),
            running => Err(Status::failed_precondition(format!(
                "{} names no service, and {running} run: `gladsheim reload` stops them, where that is meant",
                self.file.display()
            ))),
        }
    }

    async fn read(&self) -> Result<Reading, Status> {
        let (file, door) = (Arc::clone(&self.file), Arc::clone(&self.door));
        let read = spawn_blocking(move || {
            let wrong = |error: HallError| error.to_string();
            let hall = Hall::load(&file, &Environment::of_process()).map_err(wrong)?;
            let grants = hall.grants().map_err(wrong)?;
            if let Some(identity) = &door.identity {
                identity.refresh().map_err(|error| error.to_string())?;
            }
            Ok((hall, grants))
        });
        let wrong = |message| reason::status(Code::InvalidArgument, reason::HALL_FILE, message);
        let (hall, grants) = match read.await {
            Ok(read) => read.map_err(|error: String| wrong(error))?,
            Err(error) => return Err(internal(error.to_string())),
        };
        for warning in &hall.warnings {
            tracing::warn!("{warning}");
        }
        let daemon_keys = self.daemon_keys.iter().zip(hall.daemon_keys());
        let daemon_keys = daemon_keys
            .filter(|(old, new)| *old != new)
            .map(|(_, (key, _))| key.to_owned())
            .collect();
        Ok(Reading {
            hall,
            grants,
            daemon_keys,
        })
    }
}

/// The hall as the file has it now.
struct Reading {
    hall: Hall,
    grants: Grants,
    /// What of it only the next daemon can take on.
    daemon_keys: Vec<String>,
}

/// Carries out `work` when nobody else does; whoever has waited since before it began shares what came of it;
/// what another kind of caller was told is not shared.
async fn take_turn(turn: &Turn, asked: Asked, work: impl Future<Output = Outcome>) -> Outcome {
    let arrived = Instant::now();
    let mut last = turn.lock().await;
    if let Some((begun, by, outcome)) = &*last {
        if *begun > arrived && *by == asked {
            return outcome.clone();
        }
        sleep_until(*begun + PAUSE).await;
    }
    let begun = Instant::now();
    let outcome = work.await;
    *last = Some((begun, asked, outcome.clone()));
    outcome
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_shares_a_few_turns() {
        let (turn, worked) = (Turn::default(), AtomicU32::new(0));
        let ask = async || {
            take_turn(&turn, Asked::ByClient, async {
                worked.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(PAUSE / 10).await;
                Ok(ReloadResponse::default())
            })
            .await
        };
        let answers = join_all((0..1000).map(|_| ask())).await;
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(worked.load(Ordering::Relaxed), 2);

        let began = Instant::now();
        for _ in 0..10 {
            ask().await.unwrap();
        }
        assert!(began.elapsed() >= 9 * PAUSE, "{:?}", began.elapsed());
    }
}
