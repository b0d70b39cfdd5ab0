//! What an actor lets the others know about its service: always the latest, never a history.

use roskva::HealthStatus;
use skirnir::{Cause, ServiceState};

use crate::{DependencyCondition, WaitCondition};

/// The present of one service.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Facts {
    pub(crate) state: ServiceState,
    /// A run, or one that is coming by itself.
    pub(crate) active: bool,
    /// It waits for the time of its next attempt.
    pub(crate) backing_off: bool,
    /// It is down until whoever holds it starts it again.
    pub(crate) held: Option<Cause>,
    /// A process runs.
    pub(crate) alive: bool,
    pub(crate) ready: bool,
    pub(crate) health: HealthStatus,
    /// How many runs have ended, failed starts among them.
    pub(crate) ends: u64,
    pub(crate) last_end: Option<End>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct End {
    pub(crate) cause: Cause,
    /// It ended by itself with an exit code that counts as success.
    pub(crate) success: bool,
    pub(crate) message: String,
}

/// Whether something holds, may come to hold, or cannot any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Holds,
    NotYet,
    /// Why not.
    Never(String),
}

impl Verdict {
    /// `None` while it may still come to hold.
    pub(crate) fn decided(self) -> Option<Self> {
        (self != Self::NotYet).then_some(self)
    }
}

impl Facts {
    /// Whether nothing runs, nothing comes by itself, and that is because of a failure.
    fn has_failed(&self) -> bool {
        !self.active && matches!(self.state, ServiceState::Crashed | ServiceState::Failed)
    }

    fn completed(&self) -> bool {
        !self.alive && self.last_end.as_ref().is_some_and(|end| end.success)
    }

    fn failure(&self) -> String {
        match &self.last_end {
            Some(end) if !end.message.is_empty() => {
                format!("is {}: {}", self.state, end.message)
            }
            Some(_) | None => format!("is {}", self.state),
        }
    }

    /// Whether a dependency's condition holds.
    pub(crate) fn dependency(&self, condition: DependencyCondition) -> bool {
        match condition {
            DependencyCondition::Started => self.alive || self.completed(),
            DependencyCondition::Ready => self.ready || self.completed(),
            DependencyCondition::Healthy => self.health == HealthStatus::Healthy,
            DependencyCondition::Completed => self.completed(),
        }
    }

    /// Whether a dependency that was asked to start, and has answered, still may come to fulfil its
    /// condition.
    pub(crate) fn started_dependency(&self, condition: DependencyCondition) -> Verdict {
        if self.dependency(condition) {
            Verdict::Holds
        } else if self.active {
            Verdict::NotYet
        } else {
            Verdict::Never(self.failure())
        }
    }

    /// Whether what a person waits for holds; `ends_before` is the number of ends at the beginning.
    pub(crate) fn wait(&self, condition: WaitCondition, ends_before: u64) -> Verdict {
        let holds = match condition {
            WaitCondition::Running => self.state == ServiceState::Running,
            WaitCondition::Ready => self.ready,
            WaitCondition::Healthy => self.health == HealthStatus::Healthy,
            WaitCondition::Stopped => !self.active && !self.alive,
            WaitCondition::Exited => self.ends > ends_before || (!self.alive && self.ends > 0),
        };
        let may_fail = match condition {
            WaitCondition::Running | WaitCondition::Ready | WaitCondition::Healthy => true,
            WaitCondition::Stopped | WaitCondition::Exited => false,
        };
        if holds {
            Verdict::Holds
        } else if may_fail && self.has_failed() {
            Verdict::Never(self.failure())
        } else {
            Verdict::NotYet
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(state: ServiceState, success: bool) -> Facts {
        Facts {
            state,
            ends: 1,
            last_end: Some(End {
                cause: Cause::Exit,
                success,
                message: "exit code 3".into(),
            }),
            ..Facts::default()
        }
    }

    #[test]
    fn a_completed_job_fulfils_started_ready_and_completed_but_not_healthy() {
        let facts = ended(ServiceState::Stopped, true);
        for (condition, holds) in [
            (DependencyCondition::Started, true),
            (DependencyCondition::Ready, true),
            (DependencyCondition::Completed, true),
            (DependencyCondition::Healthy, false),
        ] {
            assert_eq!(facts.dependency(condition), holds, "{condition:?}");
        }
    }

    #[test]
    fn a_failed_job_never_completes() {
        let facts = ended(ServiceState::Crashed, false);
        assert_eq!(
            facts.started_dependency(DependencyCondition::Completed),
            Verdict::Never("is crashed: exit code 3".into())
        );
        let trying = Facts {
            active: true,
            ..facts
        };
        assert_eq!(
            trying.started_dependency(DependencyCondition::Completed),
            Verdict::NotYet
        );
    }

    #[test]
    fn waiting_for_health_fails_at_once_where_the_service_has_failed() {
        let facts = ended(ServiceState::Failed, false);
        for condition in [
            WaitCondition::Running,
            WaitCondition::Ready,
            WaitCondition::Healthy,
        ] {
            assert!(
                matches!(facts.wait(condition, 1), Verdict::Never(_)),
                "{condition:?}"
            );
        }
        assert_eq!(facts.wait(WaitCondition::Stopped, 1), Verdict::Holds);
        assert_eq!(facts.wait(WaitCondition::Exited, 1), Verdict::Holds);
    }

    #[test]
    fn exited_waits_for_the_end_of_the_present_run() {
        let mut facts = ended(ServiceState::Running, false);
        facts.alive = true;
        facts.active = true;
        assert_eq!(facts.wait(WaitCondition::Exited, 1), Verdict::NotYet);
        facts.ends = 2;
        assert_eq!(facts.wait(WaitCondition::Exited, 1), Verdict::Holds);
    }
}
