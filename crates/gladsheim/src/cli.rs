//! The command line: what can be asked for, and how it is spelt.

mod remote;
mod value;

use std::{path::PathBuf, time::Duration};

// On the wire the empty name means all services: a variable of a script that is not set must not.
use clap::builder::NonEmptyStringValueParser as ServiceName;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    daemon::{telemetry::LogOptions, upgrade::Numbers},
    demo::DemoArgs,
    import::Kind,
};

pub(crate) use self::remote::Remote;
use self::value::{duration, levels, pair, percent, size};

/// Supervises the services of one machine
#[derive(Debug, Parser)]
#[command(
    name = "gladsheim",
    version,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What holds for every command; may also follow it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// The hall file [env: GLADSHEIM_HALL] [default: the first of ./gladsheim.toml, the user's, /etc's]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) hall: Option<PathBuf>,
    /// The daemon's control socket [env: GLADSHEIM_SOCKET] [default: the hall's]
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// For people, or one JSON document (one object a line for streams)
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the hall and show what happens in it; Ctrl-C stops all of it
    Up(Up),
    /// Start the hall for a service manager: no terminal output but the log
    Daemon(Daemon),
    /// What a daemon is asked.
    #[command(flatten)]
    Ask(Ask),
    /// Watch the services live in this terminal, and act on them
    Top,
    /// Validate the hall file
    Check,
    /// Write a first hall file, from flags, from answers, or empty with an example
    Init(Init),
    /// Write a hall file from a Procfile, a supervisord.conf, a process-compose.yaml or unit files
    Import(Import),
    /// Print the script that completes commands, options and names of services in a shell
    Completions(Completions),
    /// Print the manual page, or write a page for each command into a folder
    Man(Man),
    /// Print the JSON schema of the hall file, for editors
    Schema,
    /// Print the version
    Version,
    /// Play a part of the demo hall
    #[command(hide = true)]
    Demo(DemoArgs),
}

/// What a daemon is asked.
#[derive(Debug, Subcommand)]
pub(crate) enum Ask {
    /// Read services' programs into memory, ahead of a start; of all services if none is named
    Load(Names),
    /// Start services, after what they depend on; returns when they are ready
    Start(Start),
    /// Stop services gracefully; returns when their process trees are gone
    Stop(Stop),
    /// Stop services if they run, and start them
    Restart(Selection),
    /// Kill the whole process trees of services at once
    Kill(Selection),
    /// Send one signal to a service's leader
    Signal(Signal),
    /// Clear `failed` and the counted attempts; of all services if none is named
    Reset(Names),
    /// Keep a service running without checks, or go on checking
    Maintenance(Maintenance),
    /// A row a service: state, health, resources, and why
    Status(Status),
    /// Captured output; of all services if none is named
    Logs(Logs),
    /// What happened, from the event bus
    Events(Events),
    /// Last known health of a service
    Health(Name),
    /// Check a service's health now
    CheckHealth(Name),
    /// Memory and CPU of services, and of the machine
    Usage(Names),
    /// Read or change the limits of a service
    Limits(Limits),
    /// Count the services per state
    Stats,
    /// Who listens where
    Endpoints(Endpoints),
    /// Block until something is true of a service
    Wait(Wait),
    /// Say what `reload` would do now, and why
    Plan,
    /// Read the hall file again and carry out what changed; other services keep their processes
    Reload,
    /// Change what the daemon tells in its own log, until it ends
    LogLevel(LogLevel),
    /// Have the daemon execute its program anew, perhaps a newer one; services keep running
    Upgrade,
    /// Stop all services in reverse order, then the daemon
    Shutdown,
}

/// One service.
#[derive(Debug, Args)]
pub(crate) struct Name {
    /// The service
    #[arg(value_name = "NAME", value_parser = ServiceName::new())]
    pub(crate) name: String,
}

/// Some services, or all.
#[derive(Debug, Args)]
pub(crate) struct Names {
    /// The services, or patterns like 'web-*'; all if none is named
    #[arg(value_name = "NAME", value_parser = ServiceName::new())]
    pub(crate) names: Vec<String>,
}

/// Some services, or expressly all.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Selection {
    /// The services, or patterns like 'web-*'
    #[arg(value_name = "NAME", value_parser = ServiceName::new())]
    pub(crate) names: Vec<String>,
    /// All services
    #[arg(long)]
    pub(crate) all: bool,
}

/// `up`
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// The services, with what they depend on; all with `autostart` if none is named
    #[arg(value_name = "NAME", value_parser = ServiceName::new())]
    pub(crate) names: Vec<String>,
    /// Leave the daemon in the background and return when everything is up
    #[arg(long)]
    pub(crate) detach: bool,
}

/// `init`
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The service's name [default: the program's]
    #[arg(long, value_name = "NAME", value_parser = ServiceName::new(), requires = "command")]
    pub(crate) name: Option<String>,
    /// Add to its environment
    #[arg(long, value_name = "K=V", value_parser = pair, requires = "command")]
    pub(crate) env: Vec<(String, String)>,
    /// Check it here, and wait for that at its start: a URL, or HOST:PORT to connect to
    #[arg(long, value_name = "TARGET", requires = "command")]
    pub(crate) health: Option<String>,
    /// When it is started again
    #[arg(long, value_enum, value_name = "POLICY", requires = "command")]
    pub(crate) restart: Option<Policy>,
    /// Print the file instead of writing it
    #[arg(long)]
    pub(crate) stdout: bool,
    /// The program and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// When a service is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Policy {
    /// After every end.
    Always,
    /// After a failure.
    OnFailure,
    /// Not: it is a job.
    Never,
}

impl Policy {
    /// The word in a hall file.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::OnFailure => "on-failure",
            Self::Never => "never",
        }
    }
}

/// `import`
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The files; several go into one hall
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// What they are [default: what each looks like]
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) from: Option<Kind>,
    /// Print the hall file instead of writing it
    #[arg(long)]
    pub(crate) stdout: bool,
}

/// `daemon`
#[derive(Debug, Args)]
pub(crate) struct Daemon {
    /// For `up --detach`: in a session of its own, and services are started on request only.
    #[arg(long, hide = true)]
    pub(crate) detached: bool,
    #[command(flatten)]
    pub(crate) log: LogOptions,
    /// For an upgrade: what the program before has left open.
    #[arg(long, hide = true, value_name = "NUMBERS")]
    pub(crate) handover: Option<Numbers>,
    /// For an upgrade: only say whether this program would go on with this state folder and socket.
    #[arg(long, hide = true, num_args = 2, value_names = ["STATE_DIR", "SOCKET"])]
    pub(crate) check_handover: Option<Vec<PathBuf>>,
}

/// `completions`
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// A shell that can be told how to complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// For `~/.local/share/bash-completion/completions/gladsheim`.
    Bash,
    /// For `_gladsheim` in a folder of `$fpath`.
    Zsh,
    /// For `~/.config/fish/completions/gladsheim.fish`.
    Fish,
}

/// `man`
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write gladsheim.1 and gladsheim-COMMAND.1 there
    #[arg(long, value_name = "FOLDER")]
    pub(crate) dir: Option<PathBuf>,
}

/// `log-level`
#[derive(Debug, Args)]
pub(crate) struct LogLevel {
    /// off, error, warn, info, debug or trace; TARGET=LEVEL for a part of the program; several with commas
    /// between them. Without it, the present level is printed
    #[arg(value_name = "LEVEL", value_parser = levels)]
    pub(crate) level: Option<String>,
}

/// `start`
#[derive(Debug, Args)]
pub(crate) struct Start {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Add to the environment, until it is started anew
    #[arg(long, value_name = "K=V", value_parser = pair, conflicts_with = "all")]
    pub(crate) env: Vec<(String, String)>,
    /// Start it in this folder
    #[arg(long, value_name = "D", conflicts_with = "all")]
    pub(crate) working_dir: Option<String>,
    /// Instead of the arguments in the hall file
    #[arg(last = true, conflicts_with = "all")]
    pub(crate) args: Vec<String>,
}

/// `stop`
#[derive(Debug, Args)]
pub(crate) struct Stop {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// How long it may take until what is left is killed
    #[arg(long, value_name = "D", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Stop running services that depend on it first, instead of refusing
    #[arg(long)]
    pub(crate) force: bool,
}

/// `signal`
#[derive(Debug, Args)]
pub(crate) struct Signal {
    /// The service, or a pattern like 'web-*'
    #[arg(value_name = "NAME", value_parser = ServiceName::new())]
    pub(crate) name: String,
    /// A name like SIGHUP or HUP, or a number
    #[arg(value_name = "SIGNAL")]
    pub(crate) signal: String,
}

/// `maintenance`
#[derive(Debug, Args)]
pub(crate) struct Maintenance {
    /// The service, or a pattern like 'web-*'
    #[arg(value_name = "NAME", value_parser = ServiceName::new())]
    pub(crate) name: String,
    /// Without checks (on), or with them again (off)
    #[arg(value_enum, value_name = "on|off")]
    pub(crate) switch: Switch,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    /// Begins.
    On,
    /// Ends.
    Off,
}

/// Which services, by their custom metadata.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// Only services whose metadata say so; several must all hold
    #[arg(long = "where", value_name = "K=V", value_parser = pair)]
    pub(crate) metadata: Vec<(String, String)>,
}

impl Filter {
    /// The pairs as the wire has them.
    pub(crate) fn pairs<M: FromIterator<(String, String)>>(&self) -> M {
        self.metadata.iter().cloned().collect()
    }
}

/// `status`
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) names: Names,
    /// Only services in this state
    #[arg(long, value_name = "S", value_parser = [
        "unknown", "starting", "running", "stopping", "stopped", "crashed", "restarting", "failed",
    ])]
    pub(crate) state: Option<String>,
    #[command(flatten)]
    pub(crate) filter: Filter,
}

/// `logs`
#[derive(Debug, Args)]
pub(crate) struct Logs {
    #[command(flatten)]
    pub(crate) names: Names,
    /// Go on with new lines as they come
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// How many of the last lines of each service
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 100)]
    pub(crate) lines: u32,
}

/// `events`
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Go on with new events as they come
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Begin after this number
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    pub(crate) since: u64,
}

/// `limits`
#[derive(Debug, Args)]
pub(crate) struct Limits {
    /// The service
    #[arg(value_name = "NAME", value_parser = ServiceName::new())]
    pub(crate) name: String,
    /// Memory: bytes, or like 256MiB; 0 is unlimited
    #[arg(long, value_name = "S", value_parser = size)]
    pub(crate) memory: Option<u64>,
    /// CPU in percent of all CPUs together; 0 is unlimited
    #[arg(long, value_name = "P", value_parser = percent)]
    pub(crate) cpu: Option<f32>,
    /// Warn at this percentage of the memory limit
    #[arg(long, value_name = "P", value_parser = percent)]
    pub(crate) memory_warning: Option<f32>,
    /// Warn at this percentage of the CPU limit
    #[arg(long, value_name = "P", value_parser = percent)]
    pub(crate) cpu_warning: Option<f32>,
}

/// `endpoints`
#[derive(Debug, Args)]
pub(crate) struct Endpoints {
    #[command(flatten)]
    pub(crate) names: Names,
    #[command(flatten)]
    pub(crate) filter: Filter,
}

/// `wait`
#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// The service
    #[arg(value_name = "NAME", value_parser = ServiceName::new())]
    pub(crate) name: String,
    /// What to wait for; `exited` prints and returns the service's exit code
    #[arg(long = "for", value_enum, value_name = "CONDITION")]
    pub(crate) condition: Condition,
    /// Give up after this time, with exit code 5
    #[arg(long, value_name = "D", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
}

/// What can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Condition {
    /// Its process runs.
    Running,
    /// It is ready.
    Ready,
    /// It is healthy.
    Healthy,
    /// No process, and none coming.
    Stopped,
    /// Its run has ended.
    Exited,
}

impl Condition {
    /// The word on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Ready => "ready",
            Self::Healthy => "healthy",
            Self::Stopped => "stopped",
            Self::Exited => "exited",
        }
    }
}
