//! What can go wrong on the command line, and the exit code of each.

use std::{error::Error, io, path::PathBuf, process::ExitCode, time::Duration};

use gladsheim_proto::{ConnectError, TlsError, reason, v1::BringUpProgress};
use tonic::{Code, Status};

use super::remote::RemoteError;
use crate::{
    cli::Condition,
    daemon::{DaemonError, telemetry::VariableError},
    hall::{HallError, NoHall},
    import::ImportError,
};

/// A command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The hall file cannot be used: its diagnostics, a line each.
    #[error("{0}")]
    HallFile(HallError),
    /// There is no hall file.
    #[error("{0}")]
    NoHall(NoHall),
    /// What was to be imported cannot be read.
    #[error("{0}")]
    Import(ImportError),
    /// A hall file that is there already is not overwritten, and some cannot be written.
    #[error("cannot write {}", path.display())]
    NotWritten { path: PathBuf, source: io::Error },
    /// The hall file that was named is not there.
    #[error("cannot read the hall file {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// A variable of the environment says what cannot be done.
    #[error(transparent)]
    Variable(#[from] VariableError),
    /// Nobody listens at the socket.
    #[error("no daemon at {}", socket.display())]
    NoDaemon { socket: PathBuf, source: io::Error },
    /// What was said about a daemon on the network makes no sense.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// There is no connection to a daemon on the network.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The socket does not let us in.
    #[error("the daemon at {} is not ours to talk to", socket.display())]
    SocketRefused { socket: PathBuf, source: io::Error },
    /// Another hall's daemon listens at the socket.
    #[error("the daemon at {} serves another hall: {theirs}, and not {}", socket.display(), ours.display())]
    OtherHall {
        socket: PathBuf,
        theirs: String,
        ours: PathBuf,
    },
    /// The daemon refused, or failed.
    #[error("{}", status.message())]
    Refused {
        service_name: Option<String>,
        status: Box<Status>,
    },
    /// One of the services that were to be brought up is not up.
    #[error("{message}")]
    NotUp {
        service_name: String,
        reason: String,
        message: String,
    },
    /// A name with `*`, `?` or `[` in it, which is no pattern.
    #[error("{pattern:?} is no pattern: {message}")]
    Pattern {
        pattern: String,
        message: &'static str,
    },
    /// A pattern that stands for nothing.
    #[error("no service matches {pattern:?}")]
    NoMatch { pattern: String },
    /// The connection broke in the middle.
    #[error("the daemon went away: {}", innermost(.0))]
    Gone(Box<Status>),
    /// Waiting took longer than the command's own `--timeout`.
    #[error("{service_name} is not {} after {timeout:?}", condition.as_str())]
    WaitTimedOut {
        service_name: String,
        condition: Condition,
        timeout: Duration,
    },
    /// The run ended, and nobody knows how.
    #[error("{service_name} has ended, its exit status is unknown")]
    UnknownExit { service_name: String },
    /// The daemon did not run, or not to its end.
    #[error("{0}")]
    Daemon(DaemonError),
    /// The daemon in the background ended before it listened.
    #[error("the daemon ended at once ({status}): {}", said.trim_end())]
    DetachedEnded {
        status: std::process::ExitStatus,
        said: String,
    },
    /// The daemon in the background could not be started.
    #[error("cannot start a daemon in the background")]
    Detach(#[source] io::Error),
    /// The log of the daemon in the background cannot be written.
    #[error("cannot write the daemon's log {}", path.display())]
    DaemonLog { path: PathBuf, source: io::Error },
    /// It could not be executed after all, or gave up.
    #[error("not upgraded: the same program goes on; the daemon's log says why")]
    NotUpgraded,
    /// Nothing is known of it.
    #[error("the upgraded daemon does not answer within {0:?}; its log may say why")]
    NotAnswering(Duration),
    /// The hall file names another one than the running daemon has.
    #[error(
        "`{key}` has changed in the hall file, which takes effect when the daemon is started again"
    )]
    OtherPlace { key: &'static str },
    /// What the program before has left is not there.
    #[error("cannot go on after the program before")]
    Handover(#[source] io::Error),
    /// The runtime could not be set up.
    #[error("cannot set up the event loop")]
    Runtime(#[source] io::Error),
    /// A live view has nothing to live on.
    #[error("`top` needs a terminal, for its input and its output")]
    NoTerminal,
    /// Standard output is gone.
    #[error("cannot write to standard output")]
    Output(#[from] io::Error),
}

/// For `map_err`: a status about one service.
pub(crate) fn about(service_name: &str) -> impl Fn(Status) -> CliError {
    move |status| CliError::of_status(Some(service_name), status)
}

impl CliError {
    /// The daemon's answer, or the loss of the daemon.
    pub(crate) fn of_status(service_name: Option<&str>, status: Status) -> Self {
        let from_transport = status.source().is_some()
            || matches!(status.code(), Code::Unavailable | Code::Cancelled);
        if reason::of(&status).is_none() && from_transport {
            return Self::Gone(Box::new(status));
        }
        Self::Refused {
            service_name: service_name.map(str::to_owned),
            status: Box::new(status),
        }
    }

    /// Why a service is not up; none if it is, by this or by an earlier command.
    pub(crate) fn of_progress(progress: &BringUpProgress) -> Option<Self> {
        let BringUpProgress {
            status,
            error,
            error_reason,
        } = progress;
        if error.is_empty() || error_reason == reason::ALREADY_RUNNING {
            return None;
        }
        Some(Self::NotUp {
            service_name: status.as_ref()?.service_name.clone(),
            reason: error_reason.clone(),
            message: error.clone(),
        })
    }

    /// Whether the text is the diagnostics of a hall file, a line each, read here or by the daemon.
    pub(crate) fn is_diagnostics(&self) -> bool {
        match self {
            Self::HallFile(_) => true,
            Self::Refused { status, .. } => reason::of(status) == Some(reason::HALL_FILE),
            _ => false,
        }
    }

    /// As the contract has it.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }

    fn code(&self) -> u8 {
        match self {
            Self::HallFile(_)
            | Self::NoHall(_)
            | Self::Unreadable { .. }
            | Self::Variable(_)
            | Self::Import(_)
            | Self::NotWritten { .. }
            | Self::NoTerminal
            | Self::Remote(_)
            | Self::Tls(TlsError::Unusable { .. })
            | Self::Pattern { .. }
            | Self::OtherPlace { .. } => 2,
            Self::NoMatch { .. } => 4,
            Self::SocketRefused { .. } | Self::Tls(TlsError::Refused { .. }) => 6,
            Self::NoDaemon { .. } | Self::OtherHall { .. } | Self::Gone(_) | Self::Tls(_) => 3,
            Self::WaitTimedOut { .. } => 5,
            Self::Refused { status, .. } => match status.code() {
                Code::InvalidArgument => 2,
                Code::NotFound => 4,
                Code::PermissionDenied => 6,
                _ if reason::of(status) == Some(reason::NEEDED_BY_OTHERS) => 6,
                _ if reason::of(status) == Some(reason::UPGRADING) => 3,
                _ => 1,
            },
            Self::NotUp { reason, .. } if reason == reason::UNAUTHORIZED => 6,
            Self::NotUp { .. }
            | Self::UnknownExit { .. }
            | Self::Daemon(_)
            | Self::DetachedEnded { .. }
            | Self::Detach(_)
            | Self::DaemonLog { .. }
            | Self::NotUpgraded
            | Self::NotAnswering(_)
            | Self::Handover(_)
            | Self::Runtime(_)
            | Self::Output(_) => 1,
        }
    }

    /// The machine-readable reason.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::HallFile(_) | Self::Unreadable { .. } => reason::HALL_FILE,
            Self::NoHall(_) => "no_hall",
            Self::Variable(_)
            | Self::Import(_)
            | Self::NotWritten { .. }
            | Self::NoTerminal
            | Self::Remote(_)
            | Self::Tls(TlsError::Unusable { .. })
            | Self::Pattern { .. } => "usage",
            Self::OtherPlace { .. } => reason::HALL_FILE,
            Self::NotUpgraded | Self::NotAnswering(_) => reason::NOT_UPGRADED,
            Self::NoMatch { .. } => reason::NOT_FOUND,
            Self::SocketRefused { .. } | Self::Tls(TlsError::Refused { .. }) => {
                reason::ACCESS_DENIED
            }
            Self::NoDaemon { .. } | Self::Tls(_) => "no_daemon",
            Self::OtherHall { .. } => "other_hall",
            Self::Refused { status, .. } => reason::of(status).unwrap_or(reason::INTERNAL),
            Self::NotUp { reason, .. } if reason.is_empty() => reason::INTERNAL,
            Self::NotUp { reason, .. } => reason,
            Self::Gone(_) => "daemon_gone",
            Self::WaitTimedOut { .. } => "timeout",
            Self::UnknownExit { .. } => "exit_status_unknown",
            Self::Daemon(_)
            | Self::DetachedEnded { .. }
            | Self::Detach(_)
            | Self::DaemonLog { .. } => "daemon_failed",
            Self::Handover(_) | Self::Runtime(_) | Self::Output(_) => reason::INTERNAL,
        }
    }

    /// The service that it is about, if it is about one.
    pub(crate) fn service_name(&self) -> Option<&str> {
        match self {
            Self::Refused { service_name, .. } => service_name.as_deref(),
            Self::NotUp { service_name, .. }
            | Self::WaitTimedOut { service_name, .. }
            | Self::UnknownExit { service_name } => Some(service_name),
            _ => None,
        }
    }

    /// What a person can do about it, where the text does not say so itself.
    pub(crate) fn way_out(&self) -> Option<&'static str> {
        match self {
            Self::NoDaemon { .. } => Some("`gladsheim up` or `gladsheim daemon` starts one"),
            Self::Tls(TlsError::Refused { .. }) => {
                Some("`client_ca` in its hall file says who signs callers' certificates")
            }
            Self::Tls(TlsError::Connect { .. }) => {
                Some("a daemon listens there with `[listen]` in its hall file")
            }
            Self::SocketRefused { .. } => Some("`[access]` in its hall file says who may"),
            Self::DaemonLog { .. } => Some("name another folder with `state_dir` in the hall file"),
            Self::NoMatch { .. } => Some(
                "`gladsheim status` lists all; quote a pattern, so that the shell leaves it alone",
            ),
            Self::NotWritten { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
                Some("name another file with --hall, or print it with --stdout")
            }
            Self::OtherHall { .. } => Some("name the right hall with --hall, or only --socket"),
            Self::NoTerminal => Some("`gladsheim status` prints the same once"),
            _ => None,
        }
    }

    /// Whether the reader of our output has had enough, which is no failure of ours.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl From<ImportError> for CliError {
    fn from(error: ImportError) -> Self {
        Self::Import(error)
    }
}

impl From<DaemonError> for CliError {
    fn from(error: DaemonError) -> Self {
        match error {
            DaemonError::Access(diagnostics) => Self::HallFile(diagnostics),
            error => Self::Daemon(error),
        }
    }
}

impl From<ConnectError> for CliError {
    fn from(error: ConnectError) -> Self {
        let ConnectError { socket, source, .. } = error;
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::SocketRefused { socket, source },
            _ => Self::NoDaemon { socket, source },
        }
    }
}

/// The cause that says something.
fn innermost(status: &Status) -> String {
    let mut source = status.source();
    let mut text = status.message().to_owned();
    while let Some(error) = source {
        text = error.to_string();
        source = error.source();
    }
    text
}
