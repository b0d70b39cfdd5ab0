//! What the actor keeps for a later daemon, and how it goes on with what an earlier one has kept.

use std::time::{Duration, SystemTime};

use skirnir::{Cause, ServiceState};
use thjalfi::{ProcessIdentity, ServiceProcess};
use tokio::time::Instant;

use super::{Begun, Ending, Phase, ServiceActor, facts::End};
use crate::{
    ServiceEvent,
    actor::command::Command,
    journal::{
        format::Record,
        record::{EndRecord, OverridesRecord, Resumption, RunRecord, ServiceRecord, Wanted},
    },
};

/// Restarts that are kept at most; no sensible limit counts further.
const ATTEMPTS: u32 = 100;
/// As many are kept where no limit counts them: for the back-off, which has come to its end then.
const UNCOUNTED: u32 = 16;

/// What nobody but the journal wants to know.
#[derive(Debug, Default)]
pub(super) struct Memory {
    wanted: Wanted,
    /// The restarts that count, oldest first.
    attempts: Vec<SystemTime>,
    /// Of the present run, once it was asked for.
    identity: Option<ProcessIdentity>,
    written: ServiceRecord,
    /// What is still to be done about the past.
    resumption: Option<Resumption>,
}

/// What an earlier daemon knew of a service.
#[derive(Debug)]
pub(crate) struct Past {
    pub(crate) record: ServiceRecord,
    pub(crate) resumption: Resumption,
    /// The run that was taken over.
    pub(crate) process: Option<ServiceProcess>,
}

impl ServiceActor {
    /// Notes what a command means for later: what is wanted, and which restarts no longer count.
    pub(super) fn note(&mut self, command: &Command) {
        let forgets = match command {
            Command::Start { join, .. } => {
                self.memory.wanted = Wanted::Up;
                self.phase == Phase::Idle && !(*join && self.state == ServiceState::Restarting)
            }
            Command::Restart { .. } => {
                self.memory.wanted = Wanted::Up;
                self.phase == Phase::Idle
            }
            // With the hall goes what was wanted of it; a low battery leaves it as it is.
            Command::Stop { cause, .. } | Command::Kill { cause, .. } => {
                if !matches!(cause, Cause::Shutdown | Cause::Battery) {
                    self.memory.wanted = Wanted::Down;
                }
                true
            }
            // A reload begins anew, a restart group goes on counting.
            Command::Suspend { cause, .. } => *cause == Cause::Reload,
            Command::Resume { cause, .. } => {
                if self.phase == Phase::Held(*cause) {
                    self.memory.wanted = Wanted::Up;
                }
                false
            }
            Command::Reset { .. } => true,
            Command::NextAttempt { .. }
            | Command::EndRun { .. }
            | Command::Maintenance { .. }
            | Command::Redefine { .. }
            | Command::Health(_)
            | Command::HealthChanged(_)
            | Command::Readiness(_) => false,
        };
        if forgets {
            self.memory.attempts.clear();
        }
    }

    /// Notes a restart that was decided, as the `attempt`th that counts.
    pub(super) fn note_attempt(&mut self, attempt: u32, at: SystemTime) {
        let kept = match self.definition.monitor.restart.max_attempts {
            0 => UNCOUNTED,
            limit => limit.min(ATTEMPTS),
        };
        let before = attempt.min(kept).saturating_sub(1) as usize;
        let attempts = &mut self.memory.attempts;
        attempts.drain(..attempts.len().saturating_sub(before));
        attempts.push(at);
    }

    /// Writes down what has changed.
    pub(super) fn remember(&mut self, active: bool) {
        if !self.hall.journal.is_kept() {
            return;
        }
        let Some(metadata) = self.hall.servants.skirnir.get_service(&self.name) else {
            return;
        };
        let end = metadata.cause.map(|cause| EndRecord {
            cause: cause.as_str().to_owned(),
            success: self.last_end.as_ref().is_some_and(|end| end.success),
            exit_code: metadata.exit_code,
            signal: metadata.signal,
            message: metadata.error_message.clone(),
            at: metadata.stop_time,
        });
        let record = ServiceRecord {
            service: self.name.clone(),
            wanted: self.memory.wanted,
            state: self.state,
            active,
            run: self.run_record(),
            generation: metadata.generation,
            restart_count: metadata.restart_count,
            attempts: self.memory.attempts.clone(),
            maintenance: self.maintenance,
            overrides: OverridesRecord::new(&self.overrides),
            start_time: metadata.start_time,
            end,
        };
        if record != self.memory.written {
            self.memory.written.clone_from(&record);
            self.hall.journal.write(Record::Service(Box::new(record)));
        }
    }

    fn run_record(&mut self) -> Option<RunRecord> {
        let process = &self.run.as_ref()?.process;
        let known = |identity: &&ProcessIdentity| {
            identity.pid == process.pid && identity.start_time == process.start_time
        };
        if self.memory.identity.as_ref().filter(known).is_none() {
            // Without one it has ended, and the exit is on its way.
            self.memory.identity = process.identity();
        }
        let ready = self.state != ServiceState::Starting;
        let identity = self.memory.identity.as_ref()?;
        Some(RunRecord::new(identity, ready))
    }

    /// Takes on the past, before the first command.
    pub(crate) fn restore(&mut self, past: Past) {
        let Past {
            record,
            resumption,
            process,
        } = past;
        if resumption != Resumption::Fresh {
            self.memory.wanted = record.wanted;
            self.memory.attempts.clone_from(&record.attempts);
            self.maintenance = record.maintenance;
            if let Some(overrides) = record.overrides.clone() {
                self.take_overrides(overrides.into());
            }
            if let Some(end) = &record.end {
                self.ends = 1;
                self.last_end = Some(End {
                    cause: end.cause(),
                    success: end.success,
                    message: end.message.clone().unwrap_or_default(),
                });
            }
        }
        if let Some(metadata) = self.hall.servants.skirnir.get_service(&self.name) {
            self.state = metadata.state;
            self.ready = metadata.ready;
        }
        if let Some(process) = process {
            self.phase = if self.state == ServiceState::Starting {
                Phase::Starting
            } else {
                Phase::Running
            };
            let age = process.start_time.elapsed().unwrap_or(Duration::ZERO);
            let now = Instant::now();
            self.hold(process, now.checked_sub(age).unwrap_or(now));
        }
        self.memory.resumption = Some(resumption);
        self.memory.written = record;
        self.tell();
    }

    /// Does what is still to be done about the past.
    pub(super) async fn resume(&mut self) {
        match self.memory.resumption.take() {
            None | Some(Resumption::Fresh | Resumption::Rest) => {}
            Some(Resumption::Start) => {
                let restarting = self.memory.written.state == ServiceState::Restarting;
                self.begin_start(if restarting {
                    Begun::Resumed
                } else {
                    Begun::Asked
                });
            }
            Some(Resumption::Adopt) => self.resume_run().await,
        }
        self.tell();
    }

    async fn resume_run(&mut self) {
        let Some(run) = &self.run else { return };
        let process_id = run.process.pid;
        self.publish(ServiceEvent::Adopted { process_id });
        self.begin_monitoring().await;
        if !self.memory.attempts.is_empty() {
            let attempts = self.memory.attempts.clone();
            let roskva = &self.hall.servants.roskva;
            roskva.restore_attempts(&self.name, attempts);
        }
        if self.memory.wanted == Wanted::Down {
            // The earlier daemon was killed while it was stopping it.
            self.request_end(Ending::stop(Cause::User));
        } else if self.phase == Phase::Starting {
            self.await_readiness();
        } else {
            let ready = self.hall.servants.roskva.is_ready(&self.name);
            self.set_ready(ready.unwrap_or(true), None);
            self.begin_watchdog();
        }
    }
}
