//! What follows when a run ends: the decision table and the history that it reads.

use std::{collections::VecDeque, time::Duration};

use gladsheim_types::Cause;

use crate::{CrashStage, ExitReport, MonitorOptions, RestartMode, RestartPolicy};

/// What an end means to the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Somebody wanted it: nothing follows.
    Requested,
    /// The process could not be started, and would not be the next time: no retry.
    NeverRan,
    Success,
    Failure,
}

/// Classifies the end of a run.
pub(crate) fn classify(policy: &RestartPolicy, report: &ExitReport) -> End {
    match report.cause {
        Cause::User | Cause::Reload | Cause::Battery | Cause::Shutdown => End::Requested,
        Cause::Spawn => End::NeverRan,
        Cause::Exit => match report.exit_code {
            Some(code) if policy.success_exit_codes.contains(&code) => End::Success,
            Some(_) | None => End::Failure,
        },
        Cause::Signal
        | Cause::Oom
        | Cause::Limit
        | Cause::Probe
        | Cause::Watchdog
        | Cause::Dependency
        | Cause::StartupTimeout
        | Cause::Unknown => End::Failure,
        // `Cause` may grow; what nobody asked for is a failure.
        _ => End::Failure,
    }
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Nothing,
    Never,
    GiveUp {
        attempts: u32,
    },
    /// `attempt` counts within the window from 1, `streak` the restarts since the last stable run.
    Restart {
        attempt: u32,
        streak: u32,
    },
}

const PAST: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// The restarts of one service since its last stable run.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    /// When they took place, oldest first; only as many as the limit needs. Later by [`PAST`] than the
    /// clock says, so that there is room for what was before its beginning.
    restarts: VecDeque<Duration>,
    /// How many there were; the back-off grows with it, whatever the window.
    streak: u32,
}

impl History {
    /// Decides about an end at `now`. A stable run is forgiven first.
    pub(crate) fn decide(
        &mut self,
        policy: &RestartPolicy,
        report: &ExitReport,
        now: Duration,
    ) -> Next {
        if is_stable(policy, report) {
            *self = Self::default();
        }
        let follows = match (classify(policy, report), policy.mode) {
            (End::Requested, _) => return Next::Nothing,
            (End::NeverRan, _) => return Next::GiveUp { attempts: 0 },
            (End::Success, RestartMode::OnFailure | RestartMode::Never) => return Next::Nothing,
            (End::Failure, RestartMode::Never) => return Next::Never,
            (End::Success, RestartMode::Always)
            | (End::Failure, RestartMode::Always | RestartMode::OnFailure) => self.streak,
        };
        if policy.max_attempts == 0 {
            return Next::Restart {
                attempt: follows.saturating_add(1),
                streak: follows,
            };
        }
        while let Some(oldest) = self.restarts.front()
            && now.saturating_add(PAST).saturating_sub(*oldest) > policy.window
        {
            self.restarts.pop_front();
        }
        let attempts = u32::try_from(self.restarts.len()).unwrap_or(u32::MAX);
        if attempts >= policy.max_attempts {
            Next::GiveUp { attempts }
        } else {
            Next::Restart {
                attempt: attempts + 1,
                streak: follows,
            }
        }
    }

    /// Notes the restart that was decided, at the time when it takes place.
    pub(crate) fn record(&mut self, policy: &RestartPolicy, at: Duration) {
        self.streak = self.streak.saturating_add(1);
        if policy.max_attempts > 0 {
            self.restarts.push_back(at.saturating_add(PAST));
        }
    }

    /// Takes on restarts that took place that long before `now`, oldest first.
    pub(crate) fn restore(&mut self, ages: impl Iterator<Item = Duration>, now: Duration) {
        self.restarts = ages
            .map(|age| now.saturating_add(PAST).saturating_sub(age))
            .collect();
        self.streak = u32::try_from(self.restarts.len()).unwrap_or(u32::MAX);
    }
}

/// How far a run had come that ended like this.
pub(crate) fn stage(options: &MonitorOptions, report: &ExitReport) -> CrashStage {
    if is_stable(&options.restart, report) {
        CrashStage::Stable
    } else if report.cause == Cause::StartupTimeout || report.uptime < options.startup_timeout {
        CrashStage::Startup
    } else {
        CrashStage::Running
    }
}

/// Whether the run was long enough to forgive what went before. A run that was never ready was not
/// stable, however long it took; a `reset_after` of zero forgives nothing.
fn is_stable(policy: &RestartPolicy, report: &ExitReport) -> bool {
    !policy.reset_after.is_zero()
        && report.uptime >= policy.reset_after
        && report.cause != Cause::StartupTimeout
}

#[cfg(test)]
#[path = "restart_tests.rs"]
mod tests;
