//! The commands before a start and after a stop: own process, same user and containment.

use std::{io, os::fd::OwnedFd, sync::Arc, time::Duration};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    ChildProcess, ProcessSpawner, StartOptions,
    error::{SpawnError, Stage},
    identity::Identity,
    logfile::Log,
    output::{Output, pumped},
    spawn::SpawnSpec,
};

/// What a command shares with the service it belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) spawner: Spawner,
    pub(crate) options: Arc<StartOptions>,
    pub(crate) identity: Option<Identity>,
    pub(crate) log: Option<Arc<Log>>,
}

/// The port, with a name for debugging.
#[derive(Clone)]
pub(crate) struct Spawner(pub(crate) Arc<dyn ProcessSpawner>);

impl std::fmt::Debug for Spawner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.containment())
    }
}

impl Setting {
    /// The reading side of output that is being captured already.
    pub(crate) fn resume_output(&self, kept: Vec<OwnedFd>) -> Result<Option<Output>, SpawnError> {
        let owner = self.identity.as_ref();
        Output::resume(self.log.as_ref(), &self.options, owner, kept)
    }

    /// Starts a program in this setting, with its output captured.
    pub(crate) async fn spawn(
        &self,
        service_name: &str,
        spec: impl FnOnce(SpawnSpec) -> SpawnSpec,
    ) -> Result<(Box<dyn ChildProcess>, Option<Output>), SpawnError> {
        let owner = self.identity.as_ref();
        let captured = Output::open(self.log.as_ref(), &self.options, owner)?;
        let (output, ends) = captured.unzip();
        let spec = spec(SpawnSpec {
            service_name: service_name.to_owned(),
            program: Default::default(),
            executable: None,
            args: Vec::new(),
            options: Arc::clone(&self.options),
            identity: self.identity.clone(),
            extra_env: Vec::new(),
            sockets: Vec::new(),
            output: ends,
        });
        Ok((self.spawner.0.spawn(spec).await?, output))
    }

    /// Runs a command to its end, at the latest after `limit`; its tree is gone afterwards.
    ///
    /// Not to be dropped half way: it runs in a task of its own.
    pub(crate) async fn run(
        &self,
        service_name: &str,
        command: &[String],
        limit: Duration,
        cancel: &CancellationToken,
    ) -> Result<(), SpawnError> {
        let Some((program, args)) = command.split_first() else {
            return Ok(());
        };
        let (mut child, mut output) = self
            .spawn(service_name, |spec| SpawnSpec {
                program: program.into(),
                args: args.to_vec(),
                ..spec
            })
            .await?;
        let limit_reached = sleep(limit);
        tokio::pin!(limit_reached);
        let ended = loop {
            tokio::select! {
                biased;
                status = child.wait() => break Ok(status),
                () = cancel.cancelled() => break Err("stopped before it was done".to_owned()),
                () = &mut limit_reached => break Err(format!("not done within {limit:?}")),
                // What it prints has no bearing on readiness.
                _ = pumped(&mut output) => {}
            }
        };
        let gone = async {
            child.kill_tree()?;
            if ended.is_err() {
                child.wait().await?;
                child.kill_tree()?;
            }
            child.tree_gone().await
        };
        if let Err(error) = gone.await {
            tracing::warn!(service = service_name, %error, "the command's tree is not surely gone");
        }
        if let Some(output) = &mut output {
            output.drain();
        }
        let what = match ended {
            Ok(Ok(status)) if status.success() => return Ok(()),
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(reason) => reason,
        };
        Err(SpawnError::new(
            Stage::PreStart,
            program.clone(),
            io::Error::other(what),
        ))
    }
}

/// The command after a stop.
#[derive(Debug)]
pub(crate) struct AfterStop {
    pub(crate) setting: Arc<Setting>,
    pub(crate) command: Vec<String>,
    pub(crate) limit: Duration,
}

impl AfterStop {
    pub(crate) async fn run(self, service_name: &str) {
        let never = CancellationToken::new();
        let result = self
            .setting
            .run(service_name, &self.command, self.limit, &never)
            .await;
        if let Err(error) = result {
            tracing::warn!(service = service_name, %error, "the command after the stop failed");
        }
    }
}
