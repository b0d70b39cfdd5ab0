//! What the journal keeps of one service.

use std::{
    collections::HashMap,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use byggvir::ResourceLimits;
use serde::{Deserialize, Serialize};
use skirnir::{Cause, ServiceMetadata, ServiceState};
use thjalfi::ProcessIdentity;

use crate::StartOverrides;

/// What was last asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Wanted {
    /// Nothing: what the definition says about starting by itself holds.
    #[default]
    Unsaid,
    Up,
    /// Stopped on purpose.
    Down,
}

/// The whole memory of one service; the last one of a name counts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ServiceRecord {
    pub(crate) service: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) wanted: Wanted,
    #[serde(with = "by_name")]
    pub(crate) state: ServiceState,
    /// A run, or one that is coming by itself.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<RunRecord>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) generation: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) restart_count: u32,
    /// When the restarts that count took place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) attempts: Vec<SystemTime>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) maintenance: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) overrides: Option<OverridesRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) start_time: Option<SystemTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) end: Option<EndRecord>,
}

/// A process that runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunRecord {
    pub(crate) pid: u32,
    pub(crate) start_ticks: u64,
    pub(crate) boot_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cgroup: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mark: Option<String>,
    pub(crate) start_time: SystemTime,
    pub(crate) ready: bool,
}

/// How the last run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EndRecord {
    pub(crate) cause: String,
    pub(crate) success: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) exit_code: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) signal: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<SystemTime>,
}

/// What the present run was asked for beyond the definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct OverridesRecord {
    env_vars: HashMap<String, String>,
    working_dir: Option<PathBuf>,
    args: Option<Vec<String>>,
    /// Memory in bytes, CPU in percent, and the percentages of the warnings.
    limits: Option<(u64, f32, f32, f32)>,
    startup_timeout: Option<Duration>,
}

impl RunRecord {
    pub(crate) fn new(identity: &ProcessIdentity, ready: bool) -> Self {
        Self {
            pid: identity.pid,
            start_ticks: identity.start_ticks,
            boot_id: identity.boot_id.clone(),
            cgroup: identity.cgroup.clone(),
            mark: identity.mark.clone(),
            start_time: identity.start_time,
            ready,
        }
    }

    pub(crate) fn identity(&self) -> ProcessIdentity {
        ProcessIdentity {
            pid: self.pid,
            start_ticks: self.start_ticks,
            boot_id: self.boot_id.clone(),
            cgroup: self.cgroup.clone(),
            mark: self.mark.clone(),
            start_time: self.start_time,
        }
    }
}

impl EndRecord {
    pub(crate) fn cause(&self) -> Cause {
        Cause::from_name(&self.cause).unwrap_or(Cause::Unknown)
    }
}

impl OverridesRecord {
    /// `None` where nothing was asked for.
    pub(crate) fn new(overrides: &StartOverrides) -> Option<Self> {
        let finite = |limits: &&ResourceLimits| {
            limits.max_cpu_percent.is_finite()
                && limits.memory_warning_percent.is_finite()
                && limits.cpu_warning_percent.is_finite()
        };
        // JSON knows no others, and byggvir has refused them.
        let limits = overrides.resource_limits.as_ref().filter(finite);
        (*overrides != StartOverrides::default()).then(|| Self {
            env_vars: overrides.env_vars.clone(),
            working_dir: overrides.working_dir.clone(),
            args: overrides.args.clone(),
            limits: limits.map(|limits| {
                (
                    limits.max_memory_bytes,
                    limits.max_cpu_percent,
                    limits.memory_warning_percent,
                    limits.cpu_warning_percent,
                )
            }),
            startup_timeout: overrides.startup_timeout,
        })
    }
}

impl From<OverridesRecord> for StartOverrides {
    fn from(record: OverridesRecord) -> Self {
        let limits = |(memory, cpu, memory_warning, cpu_warning)| ResourceLimits {
            max_memory_bytes: memory,
            max_cpu_percent: cpu,
            memory_warning_percent: memory_warning,
            cpu_warning_percent: cpu_warning,
        };
        Self {
            env_vars: record.env_vars,
            working_dir: record.working_dir,
            args: record.args,
            resource_limits: record.limits.map(limits),
            startup_timeout: record.startup_timeout,
        }
    }
}

/// What becomes of a service when its hall is opened again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resumption {
    /// As if it had never run, but for what is counted.
    Fresh,
    /// Its process is taken over, or its end is found out.
    Adopt,
    /// It was coming up, and does so again.
    Start,
    /// It stays as it is until somebody starts it.
    Rest,
}

impl ServiceRecord {
    /// Forgets all but what is counted, and a process that outlived its hall.
    pub(crate) fn settle(&mut self) {
        if self.run.is_none() {
            *self = Self {
                service: std::mem::take(&mut self.service),
                generation: self.generation,
                restart_count: self.restart_count,
                state: ServiceState::Stopped,
                ..Self::default()
            };
        }
    }

    pub(crate) fn resumption(&self) -> Resumption {
        let end = self.end.as_ref().map(EndRecord::cause);
        let with_the_hall = matches!(end, Some(Cause::Shutdown | Cause::Battery));
        if self.run.is_some() {
            Resumption::Adopt
        } else if self.wanted != Wanted::Down && !self.active && with_the_hall {
            // The earlier daemon was killed during its shutdown, or while the battery was low.
            Resumption::Fresh
        } else {
            match self.wanted {
                Wanted::Unsaid => Resumption::Fresh,
                Wanted::Up if self.active => Resumption::Start,
                Wanted::Up | Wanted::Down => Resumption::Rest,
            }
        }
    }

    /// What the registry knew about the service, as far as that still holds.
    pub(crate) fn restore(&self, resumption: Resumption, metadata: &mut ServiceMetadata) {
        metadata.generation = self.generation;
        metadata.restart_count = self.restart_count;
        if resumption == Resumption::Fresh {
            return;
        }
        metadata.start_time = self.start_time;
        if let Some(end) = &self.end {
            metadata.cause = Some(end.cause());
            metadata.exit_code = end.exit_code;
            metadata.signal = end.signal;
            metadata.error_message.clone_from(&end.message);
            metadata.stop_time = end.at;
        }
        match (&self.run, resumption) {
            (Some(run), Resumption::Adopt) => {
                metadata.process_id = run.pid;
                metadata.start_time = Some(run.start_time);
                metadata.stop_time = None;
                metadata.ready = run.ready;
                metadata.state = if run.ready {
                    ServiceState::Running
                } else {
                    ServiceState::Starting
                };
            }
            (_, Resumption::Rest)
                if matches!(self.state, ServiceState::Crashed | ServiceState::Failed) =>
            {
                metadata.state = self.state;
            }
            (Some(_) | None, _) => {}
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

mod by_name {
    use serde::{Deserialize, Deserializer, Serializer};
    use skirnir::ServiceState;

    pub(super) fn serialize<S: Serializer>(
        state: &ServiceState,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(state.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<ServiceState, D::Error> {
        let name = String::deserialize(deserializer)?;
        Ok(ServiceState::from_name(&name).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_depends_on_what_was_asked_for_and_how_the_hall_ended() {
        let record = |wanted, active, cause: Option<Cause>| ServiceRecord {
            wanted,
            active,
            end: cause.map(|cause| EndRecord {
                cause: cause.as_str().to_owned(),
                success: false,
                exit_code: None,
                signal: None,
                message: None,
                at: None,
            }),
            ..ServiceRecord::default()
        };
        for (wanted, active, cause, after_crash) in [
            (Wanted::Unsaid, false, None, Resumption::Fresh),
            (Wanted::Up, true, None, Resumption::Start),
            (Wanted::Up, true, Some(Cause::Signal), Resumption::Start),
            (Wanted::Up, false, Some(Cause::Exit), Resumption::Rest),
            (Wanted::Up, false, Some(Cause::Shutdown), Resumption::Fresh),
            (Wanted::Up, false, Some(Cause::Battery), Resumption::Fresh),
            (Wanted::Down, false, Some(Cause::User), Resumption::Rest),
            (Wanted::Down, true, Some(Cause::User), Resumption::Rest),
        ] {
            let mut record = record(wanted, active, cause);
            assert_eq!(record.resumption(), after_crash, "{record:?}");
            let mut settled = record.clone();
            settled.settle();
            assert_eq!(settled.resumption(), Resumption::Fresh, "{record:?}");
            record.run = Some(RunRecord {
                pid: 1,
                start_ticks: 1,
                boot_id: String::new(),
                cgroup: None,
                mark: None,
                start_time: SystemTime::UNIX_EPOCH,
                ready: true,
            });
            assert_eq!(record.resumption(), Resumption::Adopt);
            record.settle();
            assert_eq!(record.resumption(), Resumption::Adopt);
        }
    }
}
