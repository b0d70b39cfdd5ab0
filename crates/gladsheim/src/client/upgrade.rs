//! `upgrade`: the daemon executes its program anew; returns when that answers.

use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use gladsheim_proto::{
    Client,
    v1::{Daemon, GetDaemonRequest, UpgradeRequest},
};
use serde::Serialize;

use super::{CliError, Session, remote::RemoteError};
use crate::{cli::Format, hall::Hall};

/// How long the new program may take until it answers, after which nothing is known of it.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may be the old one that answers.
const DOUBT: Duration = Duration::from_secs(3);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(20);

/// What `--format json` prints.
#[derive(Serialize)]
struct Upgraded<'a> {
    process_id: u32,
    program: &'a str,
    version_before: &'a str,
    version: &'a str,
}

/// `upgrade`
pub(super) async fn upgrade(session: &Session) -> Result<ExitCode, CliError> {
    let refused = |status| CliError::of_status(None, status);
    // It is over the socket that the next program is seen to answer.
    let socket = session.socket.as_ref().ok_or(RemoteError::NotHere)?;
    let before = session.client.get_daemon(GetDaemonRequest {}).await;
    let before = before.map_err(refused)?;
    let response = session.client.upgrade(UpgradeRequest {}).await;
    let response = response.map_err(refused)?;
    let after = next_program(socket, before.upgrades).await?;
    let output = session.output;
    match output.format {
        Format::Json => output.json(&Upgraded {
            process_id: after.process_id,
            program: &response.program,
            version_before: &before.version,
            version: &after.version,
        })?,
        Format::Table => output.line(&format!(
            "daemon {}: version {} goes on as {} ({})",
            after.process_id, before.version, after.version, response.program
        ))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits until the daemon answers that has executed its program once more.
async fn next_program(socket: &Path, upgrades: u32) -> Result<Daemon, CliError> {
    let begun = Instant::now();
    loop {
        // Who connects while nobody answers waits in the socket.
        let answer = async {
            let client = Client::connect(socket).await?;
            let daemon = client.get_daemon(GetDaemonRequest {}).await;
            daemon.map_err(|status| CliError::of_status(None, status))
        };
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(daemon)) if daemon.upgrades > upgrades => return Ok(daemon),
            Ok(Ok(_)) if begun.elapsed() > DOUBT => return Err(CliError::NotUpgraded),
            Ok(Err(error)) if begun.elapsed() > PATIENCE => return Err(error),
            Ok(Ok(_) | Err(_)) => tokio::time::sleep(PAUSE).await,
            Err(_) => return Err(CliError::NotAnswering(PATIENCE)),
        }
    }
}

/// `daemon --check-handover`: what the program before wants to know of this one.
pub(crate) fn check_handover(
    hall: &Hall,
    state_dir: &Path,
    socket: &Path,
) -> Result<ExitCode, CliError> {
    let key = if hall.state_dir != state_dir {
        "state_dir"
    } else if hall.socket != socket {
        "socket"
    } else {
        return Ok(ExitCode::SUCCESS);
    };
    Err(CliError::OtherPlace { key })
}
