//! A command beside a running service: as its user, in its environment and folder, but a tree of its own.
//!
//! That tree is contained as that of a service is, so nothing gets away from it by a session of its own.
//! However the command ends, by its exit or because nobody waits for it any more, all of it is killed.

use std::{
    io,
    process::ExitStatus,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{net::unix::pipe, runtime::Handle};
use tokio_util::task::TaskTracker;

use crate::{
    ChildProcess,
    command::{Setting, Spawner},
    error::{SpawnError, Stage},
    spawn::SpawnSpec,
};

/// Bytes of output that are kept, at most twice.
const KEPT: usize = 4096;
/// Reads in a row, so that output without end does not keep a thread.
const READS: usize = 64;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandEnd {
    /// Its exit status.
    pub status: ExitStatus,
    /// The end of what it wrote, standard output and error together: some kilobytes at most.
    pub output: Vec<u8>,
}

/// Runs a command to its end. Dropping the future kills its tree.
pub(crate) async fn run(
    setting: &Setting,
    service_name: &str,
    command: &[String],
    tasks: &TaskTracker,
) -> Result<CommandEnd, SpawnError> {
    let Some((program, args)) = command.split_first() else {
        return Err(SpawnError::invalid(Stage::Options, "command", "is empty"));
    };
    let failed = |error| SpawnError::new(Stage::Output, None, error);
    let (reader, writer) = io::pipe().map_err(failed)?;
    let output = pipe::Receiver::from_owned_fd(reader.into()).map_err(failed)?;
    let ends = (writer.try_clone().map_err(failed)?.into(), writer.into());
    let name = tree_name(service_name);
    let child = setting.spawner.0.spawn(SpawnSpec {
        service_name: name.clone(),
        program: program.into(),
        executable: None,
        args: args.to_vec(),
        options: Arc::clone(&setting.options),
        identity: setting.identity.clone(),
        extra_env: Vec::new(),
        sockets: Vec::new(),
        output: Some(ends),
    });
    let mut tree = Tree {
        child: Some(child.await?),
        name,
        spawner: setting.spawner.clone(),
        tasks: tasks.clone(),
        runtime: Handle::current(),
    };
    let ended = tree.run(&output).await;
    ended.map_err(|error| SpawnError::new(Stage::Exec, program.clone(), error))
}

/// Unique, and none that a service can have: several commands may run beside one service.
fn tree_name(service_name: &str) -> String {
    static COMMANDS: AtomicU64 = AtomicU64::new(0);
    let command = COMMANDS.fetch_add(1, Ordering::Relaxed);
    format!("{service_name}:{command}")
}

/// Owner of the command's processes. Dropping it kills them; they are reaped in the background.
struct Tree {
    /// `None` once all of it is gone.
    child: Option<Box<dyn ChildProcess>>,
    name: String,
    spawner: Spawner,
    tasks: TaskTracker,
    runtime: Handle,
}

impl Tree {
    async fn run(&mut self, output: &pipe::Receiver) -> io::Result<CommandEnd> {
        let Some(child) = &mut self.child else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let mut tail = Vec::new();
        let mut open = true;
        let status = loop {
            tokio::select! {
                biased;
                status = child.wait() => break status,
                readable = output.readable(), if open => {
                    readable?;
                    open = read(output, &mut tail)?;
                }
            }
        };
        child.kill_tree()?;
        child.tree_gone().await?;
        read(output, &mut tail)?;
        self.child = None;
        self.spawner.0.forget(&self.name);
        Ok(CommandEnd {
            status: status?,
            output: tail,
        })
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        // At once, for the daemon may be about to end.
        let killed = child.kill_tree();
        let name = std::mem::take(&mut self.name);
        let spawner = self.spawner.clone();
        let reap = async move {
            let gone = async {
                killed?;
                // Where its status is not to be had, it is gone nevertheless.
                drop(child.wait().await);
                child.kill_tree()?;
                child.tree_gone().await
            };
            if let Err(error) = gone.await {
                tracing::warn!(tree = name, %error, "a command's tree is not surely gone");
            }
            drop(child);
            spawner.0.forget(&name);
        };
        drop(self.tasks.spawn_on(reap, &self.runtime)); // nobody waits for it
    }
}

/// Reads what is there, within reason; false at the end of the output.
fn read(output: &pipe::Receiver, tail: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; KEPT];
    for _ in 0..READS {
        match output.try_read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(count) => {
                tail.extend_from_slice(&buffer[..count]);
                if tail.len() > 2 * KEPT {
                    tail.drain(..tail.len() - KEPT);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
