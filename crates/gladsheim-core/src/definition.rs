//! All that the hall knows about one service before it ever runs.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use byggvir::{LimitPolicy, ResourceLimits};
use roskva::MonitorOptions;
use thjalfi::StartOptions;

use crate::RestartGroup;

/// Definition of one service: what a section `[services.NAME]` of the hall file says.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceDefinition {
    /// Its name: `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`.
    pub name: String,
    /// The program: a path, or a bare name that is looked up in `PATH`.
    pub path: PathBuf,
    /// How it is started.
    pub start: StartOptions,
    /// Whether it is ready only once its health check says so; otherwise `start.readiness` decides.
    pub ready_by_health: bool,
    /// Whether it is started with the hall. Default: true.
    pub autostart: bool,
    /// What must be there before it starts, in the order listed.
    pub depends_on: Vec<Dependency>,
    /// How long a stop may take before what is left is killed. Default: the loader's.
    pub shutdown_timeout: Duration,
    /// Whether it runs on when the battery is low. Default: false.
    pub essential: bool,
    /// Addresses where it listens, for discovery.
    pub endpoints: Vec<String>,
    /// How it is checked and restarted.
    pub monitor: MonitorOptions,
    /// What it may use.
    pub limits: ResourceLimits,
    /// What is done about its limits.
    pub limit_policy: LimitPolicy,
    /// Services of one group are restarted together as its strategy says.
    pub restart_group: Option<RestartGroup>,
    /// Custom metadata, for discovery.
    pub metadata: BTreeMap<String, String>,
    /// What its files were like when the definition was read. Default: nobody has looked.
    pub files: FileMarks,
}

/// What the files that a definition names were like when it was read: how [`plan`](crate::plan) notices
/// that they have changed, since the definition itself has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileMarks {
    /// Of the `env_file`; `None` if there is none, or if nobody has looked.
    pub env_file: Option<FileMark>,
    /// When the program's file last changed; `None` if nobody has looked.
    pub program_changed: Option<SystemTime>,
}

/// A file's content in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMark {
    /// Different for different contents, to all intents; compared within one process only.
    pub digest: u64,
    /// When the file last changed (`st_ctime`).
    pub changed: SystemTime,
}

impl ServiceDefinition {
    /// A definition with every default, for the program at `path`.
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            path: path.into(),
            start: StartOptions::default(),
            ready_by_health: false,
            autostart: true,
            depends_on: Vec::new(),
            shutdown_timeout: Duration::from_secs(10),
            essential: false,
            endpoints: Vec::new(),
            monitor: MonitorOptions::default(),
            limits: ResourceLimits::default(),
            limit_policy: LimitPolicy::default(),
            restart_group: None,
            metadata: BTreeMap::new(),
            files: FileMarks::default(),
        }
    }
}

/// Something that must be there before a service starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The service depended on.
    pub service_name: String,
    /// What must be true of it.
    pub condition: DependencyCondition,
    /// Whether its failure keeps the dependent from starting. Default: true.
    pub required: bool,
}

/// What must be true of a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DependencyCondition {
    /// Its process runs.
    #[default]
    Started,
    /// It is ready.
    Ready,
    /// It is healthy.
    Healthy,
    /// It has ended with success.
    Completed,
}

impl DependencyCondition {
    /// All conditions, in the order in which they are declared.
    pub const ALL: [Self; 4] = [Self::Started, Self::Ready, Self::Healthy, Self::Completed];

    /// The name used in the hall file, for example `healthy`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Ready => "ready",
            Self::Healthy => "healthy",
            Self::Completed => "completed",
        }
    }

    /// The inverse of [`DependencyCondition::as_str`]; `None` for any other text.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|condition| condition.as_str() == name)
    }
}
