//! Reading the hall file again, and carrying out what changed: for clients, SIGHUP and changes of the file.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use gladsheim_core::Gladsheim;
use gladsheim_proto::{reason, v1::ReloadResponse};
use tokio::{
    sync::{Mutex, Notify},
    task::spawn_blocking,
    time::Instant,
};
use tonic::{Code, Status};

use super::{convert, error::status};
use crate::hall::{Environment, Hall};

type Outcome = Result<ReloadResponse, Status>;

/// Reloads the hall. Clones share the turn: one at a time, and whoever waits for theirs shares the next one.
#[derive(Debug, Clone)]
pub(super) struct Reloader {
    gladsheim: Gladsheim,
    file: Arc<Path>,
    /// What the file said of the daemon when it was started.
    daemon_keys: Arc<[(&'static str, String)]>,
    /// When the last reload began, and what came of it.
    last: Arc<Mutex<Option<(Instant, Outcome)>>>,
}

impl Reloader {
    pub(super) fn new(
        gladsheim: Gladsheim,
        file: PathBuf,
        daemon_keys: Vec<(&'static str, String)>,
    ) -> Self {
        Self {
            gladsheim,
            file: file.into(),
            daemon_keys: daemon_keys.into(),
            last: Arc::default(),
        }
    }

    /// Reloads whenever it is asked to. Runs until dropped.
    pub(super) async fn run(self, asked: Arc<Notify>) {
        loop {
            asked.notified().await;
            // What was done the bus tells.
            if let Err(status) = self.reload().await {
                tracing::error!(
                    "not reloaded, everything is as it was: {}",
                    status.message()
                );
            }
        }
    }

    /// What a reload would do now.
    pub(super) async fn plan(&self) -> Outcome {
        let (hall, daemon_keys) = self.read().await?;
        let plan = self.gladsheim.plan(&hall.config.services).map_err(status)?;
        Ok(convert::plan(plan, daemon_keys))
    }

    /// Reloads; returns when it is carried out. Cancellation: a reload that has begun is carried out.
    pub(super) async fn reload(&self) -> Outcome {
        let arrived = Instant::now();
        let mut last = self.last.lock().await;
        if let Some((begun, outcome)) = &*last
            && *begun > arrived
        {
            return outcome.clone();
        }
        let begun = Instant::now();
        let outcome = self.carry_out().await;
        *last = Some((begun, outcome.clone()));
        outcome
    }

    async fn carry_out(&self) -> Outcome {
        let (hall, daemon_keys) = self.read().await?;
        let plan = self.gladsheim.reload(hall.config.services).await;
        let plan = plan.map_err(status)?;
        if !daemon_keys.is_empty() {
            tracing::warn!(
                "changes of {} take effect when the daemon is started again",
                daemon_keys.join(", ")
            );
        }
        Ok(convert::plan(plan, daemon_keys))
    }

    /// The hall as the file has it now, and what of it only the next daemon can take on.
    async fn read(&self) -> Result<(Hall, Vec<String>), Status> {
        let file = Arc::clone(&self.file);
        let read = spawn_blocking(move || Hall::load(&file, &Environment::of_process()));
        let wrong = |message| reason::status(Code::InvalidArgument, reason::HALL_FILE, message);
        let hall = match read.await {
            Ok(Ok(hall)) => hall,
            Ok(Err(error)) => return Err(wrong(error.to_string())),
            Err(error) => return Err(Status::internal(error.to_string())),
        };
        for warning in &hall.warnings {
            tracing::warn!("{warning}");
        }
        let daemon_keys = self.daemon_keys.iter().zip(hall.daemon_keys());
        let daemon_keys = daemon_keys
            .filter(|(old, new)| *old != new)
            .map(|(_, (key, _))| key.to_owned())
            .collect();
        Ok((hall, daemon_keys))
    }
}
