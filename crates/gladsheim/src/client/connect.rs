//! Which daemon is meant, and the way to it.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use gladsheim_proto::{Client, v1::GetDaemonRequest};

use super::{CliError, remote};
use crate::{
    cli::Global,
    hall::{Environment, Hall, discover},
    output::Output,
};

/// A connection, and how to show what comes of it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    /// The daemon's control socket; `None` if it is a daemon on the network, whose processes are elsewhere.
    pub(super) socket: Option<PathBuf>,
    pub(super) output: Output,
}

impl Session {
    /// Connects to the daemon that is meant; refuses the one of another hall.
    pub(super) async fn open(global: &Global, output: Output) -> Result<Self, CliError> {
        if let Some(options) = remote::locate(global)? {
            return Ok(Self {
                client: Client::connect_tls(options).await?,
                socket: None,
                output,
            });
        }
        let Target { socket, hall_file } = Target::locate(global)?;
        let client = Client::connect(&socket).await?;
        if let Some(ours) = hall_file {
            same_hall(&client, &socket, ours).await?;
        }
        Ok(Self {
            client,
            socket: Some(socket),
            output,
        })
    }
}

/// Refuses a daemon that serves another hall file than `ours`.
pub(super) async fn same_hall(
    client: &Client,
    socket: &Path,
    ours: PathBuf,
) -> Result<(), CliError> {
    let daemon = client.get_daemon(GetDaemonRequest {}).await;
    let theirs = daemon
        .map_err(|status| CliError::of_status(None, status))?
        .hall_file;
    if Path::new(&theirs) == ours {
        return Ok(());
    }
    Err(CliError::OtherHall {
        socket: socket.to_owned(),
        theirs,
        ours,
    })
}

/// Where the daemon listens, and which hall it should serve, if the caller has one in mind.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    socket: PathBuf,
    hall_file: Option<PathBuf>,
}

impl Target {
    /// A socket that is named needs no hall file, and is checked only against one that is named too.
    fn locate(global: &Global) -> Result<Self, CliError> {
        match socket(global) {
            Some(socket) => {
                let canonical = |path: &PathBuf| {
                    fs::canonicalize(path).map_err(|source| CliError::Unreadable {
                        path: path.clone(),
                        source,
                    })
                };
                Ok(Self {
                    socket,
                    hall_file: global.hall.as_ref().map(canonical).transpose()?,
                })
            }
            None => {
                let hall = load_hall(global)?;
                Ok(Self {
                    socket: hall.socket,
                    hall_file: Some(hall.file),
                })
            }
        }
    }
}

/// The socket that is named on the command line, else in the environment.
fn socket(global: &Global) -> Option<PathBuf> {
    let named = || env::var_os("GLADSHEIM_SOCKET").filter(|path| !path.is_empty());
    global.socket.clone().or_else(|| named().map(PathBuf::from))
}

/// Finds and reads the hall file; a socket that is named holds instead of the file's.
pub(crate) fn load_hall(global: &Global) -> Result<Hall, CliError> {
    remote::refuse(global)?;
    let environment = Environment::of_process();
    let file = discover(global.hall.as_deref(), &environment).map_err(CliError::NoHall)?;
    let mut hall = Hall::load(&file, &environment).map_err(CliError::HallFile)?;
    if let Some(socket) = socket(global) {
        hall.socket = socket;
    }
    Ok(hall)
}
