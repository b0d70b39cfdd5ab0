//! A daemon in the background.

use std::{
    fs::{self, File},
    io,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use gladsheim_proto::Client;

use super::daemon_log;
use crate::{client::CliError, hall::Hall};

/// How often to look whether it listens yet.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How much of what it said is repeated if it ends at once.
const TAIL_BYTES: usize = 2000;

/// Starts it, and returns once it answers. It goes on whatever becomes of us.
pub(super) async fn spawn(hall: &Hall) -> Result<Client, CliError> {
    let log = daemon_log::path(hall);
    let unwritable = |source| CliError::DaemonLog {
        path: log.clone(),
        source,
    };
    let stderr = daemon_log::open(hall).map_err(unwritable)?;
    let mut child = launch(hall, stderr).map_err(CliError::Detach)?;
    loop {
        if let Some(status) = child.try_wait().map_err(CliError::Detach)? {
            return Err(CliError::DetachedEnded {
                status,
                said: tail(&log),
            });
        }
        match Client::connect(&hall.socket).await.map_err(CliError::from) {
            Ok(client) => return Ok(client),
            Err(CliError::NoDaemon { .. }) => tokio::time::sleep(LOOK_EVERY).await,
            Err(error) => return Err(error),
        }
    }
}

fn launch(hall: &Hall, stderr: File) -> io::Result<Child> {
    Command::new("/proc/self/exe")
        .arg("--hall")
        .arg(&hall.file)
        .arg("--socket")
        .arg(&hall.socket)
        .args(["daemon", "--detached"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
}

/// The end of a log that may not be there.
fn tail(log: &Path) -> String {
    let said = fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(&said[said.len().saturating_sub(TAIL_BYTES)..]).into_owned()
}
