//! What can go wrong when services are started and stopped.

use std::{fmt, io};

use nix::errno::Errno;

/// Errors of the service loader; texts as in the specification.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceLoaderError {
    /// No path is configured for this name.
    #[error("Service not found: {0}")]
    ServiceNotFound(String),

    /// It runs, or is being started, already.
    #[error("Service already running: {0}")]
    AlreadyRunning(String),

    /// The authoriser refused it; the text has the name and the reason.
    #[error("Unauthorized to start service: {0}")]
    Unauthorized(String),

    /// It was not ready in time; its whole process tree is gone.
    #[error("Startup timeout: {0}")]
    StartupTimeout(String),

    /// The process could not be started; the text has the name, the stage, the path and the errno.
    #[error("Process spawn failed: {0}")]
    SpawnFailed(String),

    /// There is no process to act upon.
    #[error("Service not running: {0}")]
    NotRunning(String),

    /// It did not stop in time, and `force_kill_after_timeout` is off: it still runs.
    #[error("Shutdown timeout: {0}")]
    ShutdownTimeout(String),

    /// An operation of the operating system failed.
    #[error("IO error: {0}")]
    Io(#[from] std::io::Error),
}

impl ServiceLoaderError {
    pub(crate) fn spawn_failed(service_name: &str, error: &SpawnError) -> Self {
        Self::SpawnFailed(format!("{service_name}: {error}"))
    }
}

/// Why a process could not be started: the stage, what it was about, the errno and the way out, on
/// one line.
#[derive(Debug)]
pub struct SpawnError {
    /// The step that failed.
    pub stage: Stage,
    /// What it was about: a path, a user, a limit.
    pub subject: Option<String>,
    /// What the system said.
    pub source: io::Error,
    /// The obvious way out, where there is one.
    pub hint: Option<String>,
}

impl SpawnError {
    /// A failure without a hint.
    pub fn new(stage: Stage, subject: impl Into<Option<String>>, source: io::Error) -> Self {
        Self {
            stage,
            subject: subject.into(),
            source,
            hint: None,
        }
    }

    pub(crate) fn invalid(stage: Stage, subject: impl Into<String>, what: &str) -> Self {
        let source = io::Error::new(io::ErrorKind::InvalidInput, what);
        Self::new(stage, subject.into(), source)
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.stage.as_str())?;
        if let Some(subject) = &self.subject {
            write!(f, " {subject}")?;
        }
        match self.source.raw_os_error().map(Errno::from_raw) {
            Some(errno) => write!(f, ": {} ({errno:?})", errno.desc())?,
            None => write!(f, ": {}", self.source)?,
        }
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

// The text already holds what the source says, so it is not told as the source again.
impl std::error::Error for SpawnError {}

/// The steps of a start, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// The options contradict themselves.
    Options,
    /// The binary is opened for the check of its SHA-256.
    Open,
    /// The user is looked up.
    User,
    /// The group is looked up.
    Group,
    /// The file of environment variables is read.
    EnvFile,
    /// The command before the start.
    PreStart,
    /// The captured output or its place in the child.
    Output,
    /// The service's cgroup.
    Cgroup,
    /// The process is made.
    Clone,
    /// Its own session.
    Session,
    /// The nice value.
    Nice,
    /// The out-of-memory score.
    OomScoreAdj,
    /// A resource limit.
    Rlimit,
    /// The working directory.
    Chdir,
    /// The supplementary groups.
    Initgroups,
    /// The switch of the group.
    Setgid,
    /// The switch of the user.
    Setuid,
    /// The capabilities that are kept.
    Capabilities,
    /// The promise of no new privileges.
    NoNewPrivs,
    /// The program takes over.
    Exec,
    /// The notify socket.
    Notify,
    /// A socket that is passed on.
    Socket,
}

impl Stage {
    /// The name in error texts, as far as possible that of the system call.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Options => "options",
            Self::Open => "open",
            Self::User => "user",
            Self::Group => "group",
            Self::EnvFile => "env_file",
            Self::PreStart => "pre_start",
            Self::Output => "output",
            Self::Cgroup => "cgroup",
            Self::Clone => "clone",
            Self::Session => "setsid",
            Self::Nice => "nice",
            Self::OomScoreAdj => "oom_score_adj",
            Self::Rlimit => "rlimit",
            Self::Chdir => "chdir",
            Self::Initgroups => "initgroups",
            Self::Setgid => "setgid",
            Self::Setuid => "setuid",
            Self::Capabilities => "capabilities",
            Self::NoNewPrivs => "no_new_privs",
            Self::Exec => "exec",
            Self::Notify => "notify",
            Self::Socket => "socket",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{ServiceLoaderError, SpawnError, Stage};

    #[test]
    fn a_failure_is_one_line_with_stage_path_and_errno() {
        let missing = io::Error::from_raw_os_error(libc::ENOENT);
        let error = SpawnError::new(Stage::Exec, "/srv/bin/thor".to_owned(), missing);
        assert_eq!(
            ServiceLoaderError::spawn_failed("thor", &error).to_string(),
            "Process spawn failed: thor: exec /srv/bin/thor: No such file or directory (ENOENT)"
        );
    }
}
