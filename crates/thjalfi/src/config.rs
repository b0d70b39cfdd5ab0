//! Configuration of the loader and options of one start.

use std::{collections::HashMap, path::PathBuf, time::Duration};

use gladsheim_types::ResourceLimits;

use crate::{Signal, SocketAddress};

/// Configuration of a [`ServiceLoader`](crate::ServiceLoader) (specification: Thjalfi, Configuration).
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceLoaderConfig {
    /// How long a start may take unless its options say otherwise. Default: 30 s.
    pub startup_timeout: Duration,
    /// How long a stop may take where the caller names no time (`restart_service`). Default: 10 s.
    pub shutdown_timeout: Duration,
    /// Whether what is left at the end of the shutdown timeout is killed. Default: true.
    pub force_kill_after_timeout: bool,
    /// Path of the binary for each service name; also the list of services that may start at all.
    pub service_paths: HashMap<String, PathBuf>,
    /// How process trees are held together. Default: [`Containment::Auto`].
    pub containment: Containment,
    /// Name of this hall's own cgroup below the daemon's; unique on the machine. Default: by process id.
    pub cgroup_name: Option<String>,
    /// Where captured output goes; without it, services inherit `/dev/null`, or a pipe whose lines are dropped where
    /// [`Readiness::Log`] waits for one. Default: none.
    pub log_dir: Option<PathBuf>,
    /// The process that keeps output, exit statuses and sockets while no daemon lives; without it, they are lost
    /// then. Default: none.
    pub keeper: Option<KeeperConfig>,
    /// Whether services are killed when the last handle of the loader is dropped. Default: false.
    pub kill_on_drop: bool,
}

impl Default for ServiceLoaderConfig {
    fn default() -> Self {
        Self {
            startup_timeout: Duration::from_secs(30),
            shutdown_timeout: Duration::from_secs(10),
            force_kill_after_timeout: true,
            service_paths: HashMap::new(),
            containment: Containment::default(),
            cgroup_name: None,
            log_dir: None,
            keeper: None,
            kill_on_drop: false,
        }
    }
}

/// A keeper, and where it is found by the next daemon.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeeperConfig {
    /// The program, which has to call [`run_keeper`](crate::run_keeper) and nothing else.
    pub program: PathBuf,
    /// Its arguments, its own name first.
    pub args: Vec<String>,
    /// Its socket, in a folder that exists and belongs to one daemon at a time.
    pub socket: PathBuf,
}

/// How the process tree of a service is held together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Containment {
    /// A cgroup where a writable cgroup2 tree exists, else a session.
    #[default]
    Auto,
    /// A cgroup of its own for each service; starting fails where there is no writable cgroup2 tree.
    Cgroup,
    /// A session and process group of its own, with the loader's process as subreaper.
    Session,
}

/// Options of one start (specification: Thjalfi, `StartOptions`).
#[derive(Debug, Clone, PartialEq)]
pub struct StartOptions {
    /// Environment variables, added last.
    pub env_vars: HashMap<String, String>,
    /// Working directory; without it, the daemon's.
    pub working_dir: Option<PathBuf>,
    /// Command line arguments, without the program's name.
    pub args: Vec<String>,
    /// Limits to enforce; the loader only passes them on.
    pub resource_limits: Option<ResourceLimits>,
    /// How long it may take until the service is ready. Default: 30 s; bounds: above zero.
    pub startup_timeout: Duration,
    /// When the service counts as ready. Default: as soon as `exec` has succeeded.
    pub readiness: Readiness,
    /// How often, at least, it must send `WATCHDOG=1` to its notify socket; it learns it from `WATCHDOG_USEC`. The
    /// loader only carries the messages: see [`watchdog`](crate::ServiceProcess::watchdog).
    pub watchdog: Option<Duration>,
    /// The signal of a graceful stop. Default: SIGTERM.
    pub stop_signal: Signal,
    /// A file of `KEY=VALUE` lines, read at each start, below `env_vars`.
    pub env_file: Option<PathBuf>,
    /// Start from an empty environment instead of the daemon's. Default: false.
    pub clear_env: bool,
    /// User to run as, by name or number; needs the right to switch.
    pub user: Option<String>,
    /// Group to run as, by name or number; without it, the user's own.
    pub group: Option<String>,
    /// File mode creation mask; without it, the daemon's. Bounds: 0 to 0o777.
    pub umask: Option<u32>,
    /// Nice value. Bounds: -20 to 19.
    pub nice: Option<i32>,
    /// Out-of-memory score adjustment. Bounds: -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// Whether `exec` may no longer grant privileges. Default: false.
    pub no_new_privs: bool,
    /// Capabilities that are kept, for example `CAP_NET_BIND_SERVICE`; `None` leaves them alone.
    pub capabilities: Option<Vec<String>>,
    /// Resource limits of the process by their lower-case name, for example `nofile`, soft and hard.
    pub rlimits: Vec<(String, u64)>,
    /// SHA-256 in lower-case hexadecimal that the executed file must have.
    pub sha256: Option<String>,
    /// A command that must succeed before the service is started; own process, own timeout.
    pub pre_start: Option<Vec<String>>,
    /// A command that is run after the service has stopped; own process, own timeout.
    pub post_stop: Option<Vec<String>>,
    /// Rotation of captured output.
    pub log_rotation: LogRotation,
    /// Sockets that are opened at the first start, stay open over all runs and are passed on by the
    /// `LISTEN_FDS` protocol, in this order.
    pub sockets: Vec<SocketAddress>,
}

impl Default for StartOptions {
    fn default() -> Self {
        Self {
            env_vars: HashMap::new(),
            working_dir: None,
            args: Vec::new(),
            resource_limits: None,
            startup_timeout: Duration::from_secs(30),
            readiness: Readiness::default(),
            watchdog: None,
            stop_signal: Signal::Terminate,
            env_file: None,
            clear_env: false,
            user: None,
            group: None,
            umask: None,
            nice: None,
            oom_score_adj: None,
            no_new_privs: false,
            capabilities: None,
            rlimits: Vec::new(),
            sha256: None,
            pre_start: None,
            post_stop: None,
            log_rotation: LogRotation::default(),
            sockets: Vec::new(),
        }
    }
}

impl StartOptions {
    /// Whether the service is told of a notify socket.
    pub(crate) fn listens(&self) -> bool {
        self.readiness == Readiness::Notify || self.watchdog.is_some()
    }
}

/// When a started service counts as ready, as far as the loader can tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Readiness {
    /// As soon as `exec` has succeeded.
    #[default]
    Exec,
    /// After this time, if it still runs then.
    Delay(Duration),
    /// As soon as a line of its output matches this regular expression.
    Log(String),
    /// As soon as it sends `READY=1` to its notify socket.
    Notify,
}

/// When log files are rotated and how many are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRotation {
    /// Size in bytes at which a file is rotated. Default: 10 MiB.
    pub max_size: u64,
    /// Files kept, the current one among them. Default: 5; bounds: at least 1.
    pub max_files: u32,
}

impl Default for LogRotation {
    fn default() -> Self {
        Self {
            max_size: 10 * 1024 * 1024,
            max_files: 5,
        }
    }
}
