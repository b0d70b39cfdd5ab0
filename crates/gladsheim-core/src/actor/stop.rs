//! Requests to end a run, and what they lead to while it is being ended.

use std::{sync::Arc, time::Duration};

use roskva::EndRequest;
use skirnir::{Cause, ServiceState, Transition};
use thjalfi::ServiceLoaderError;

use super::{Begun, Ending, Intent, Outcome, Phase, ServiceActor, Then};
use crate::{GladsheimError, ServiceEvent, actor::command::Reply};

impl ServiceActor {
    /// A stop (`kill` false) or a kill.
    pub(super) async fn on_stop(
        &mut self,
        cause: Cause,
        timeout: Option<Duration>,
        kill: bool,
        reply: Reply,
    ) {
        match self.phase {
            Phase::Idle if self.state == ServiceState::Restarting => {
                self.hall.servants.roskva.stop_monitoring(&self.name).await;
                let stopped = Transition {
                    cause: Some(cause),
                    ..Transition::to(ServiceState::Stopped)
                };
                self.enter(stopped, ServiceEvent::Stopped { cause });
                self.overtake_starters();
                self.answer(reply, Ok(()));
            }
            Phase::Idle => {
                self.answer(reply, Err(GladsheimError::NotRunning(self.name.clone())));
            }
            Phase::Waiting | Phase::Held(_) => {
                self.task = None;
                self.phase = Phase::Idle;
                // It no longer waits for anything.
                self.set_ready(false, Some(String::new()));
                self.leave_restarting(cause);
                self.overtake_starters();
                self.answer(reply, Ok(()));
            }
            Phase::Launching(_) | Phase::Starting | Phase::Running | Phase::Ending(_) => {
                self.hall.servants.roskva.stop_monitoring(&self.name).await;
                self.overtake_starters();
                self.stoppers.push(reply);
                let intent = Intent::Stop(cause);
                self.request_end(Ending {
                    intent,
                    then: Then::Rest,
                    kill,
                    timeout,
                });
            }
        }
    }

    pub(super) async fn on_restart(&mut self, reply: Reply) {
        match self.phase {
            Phase::Idle => {
                self.hall.servants.roskva.reset_attempts(&self.name);
                self.starters.push(reply);
                self.begin_start(Begun::Asked);
            }
            Phase::Waiting | Phase::Held(_) => self.starters.push(reply),
            Phase::Launching(_) | Phase::Starting | Phase::Running | Phase::Ending(_) => {
                self.hall.servants.roskva.stop_monitoring(&self.name).await;
                self.starters.push(reply);
                self.request_end(Ending {
                    intent: Intent::Stop(Cause::User),
                    then: Then::Again,
                    kill: false,
                    timeout: None,
                });
            }
        }
    }

    /// A check or a limit ends the run, and the restart policy decides what follows.
    pub(super) fn on_end_run(&mut self, cause: Cause, request: EndRequest, reply: Reply) {
        if self.phase != Phase::Running {
            // While it starts, the start-up timeout judges; while it ends, nothing is left to do.
            self.answer(reply, Err(GladsheimError::Overtaken(self.name.clone())));
            return;
        }
        self.end_by_policy(cause, request);
        self.answer(reply, Ok(()));
    }

    pub(super) fn end_by_policy(&mut self, cause: Cause, request: EndRequest) {
        let EndRequest {
            reason: message,
            will_restart,
            shutdown_timeout,
        } = request;
        self.hall.servants.roskva.suspend_checks(&self.name);
        self.set_ready(false, None);
        if will_restart {
            let restarting = Transition {
                cause: Some(cause),
                reason: Some(message.clone()),
                ..Transition::to(ServiceState::Restarting)
            };
            self.enter(
                restarting,
                ServiceEvent::Restarting {
                    cause,
                    attempt: 0,
                    next_attempt_at: None,
                },
            );
        }
        let intent = Intent::Policy { cause, message };
        self.end(Ending {
            intent,
            then: Then::Rest,
            kill: false,
            timeout: shutdown_timeout,
        });
    }

    /// Brings an ending together with one that is under way.
    pub(super) fn request_end(&mut self, mut new: Ending) {
        self.set_ready(false, None);
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Launching(old) => {
                match &old {
                    Some(old) => new.meet(old),
                    None => self.enter_stopping(&new),
                }
                self.hasten_launch(&new);
                self.phase = Phase::Launching(Some(new));
            }
            Phase::Ending(old) => {
                // What a person asks for goes before what the policy wanted.
                new.meet(&old);
                let restarts = new.then != Then::Rest && self.state == ServiceState::Restarting;
                if self.state != ServiceState::Stopping && !restarts {
                    self.enter_stopping(&new);
                }
                let overtakes = new.kill && !old.kill;
                self.phase = Phase::Ending(new.clone());
                if overtakes || self.task.is_none() {
                    self.task = Some(self.stop_task(&new));
                }
            }
            Phase::Idle | Phase::Waiting | Phase::Starting | Phase::Running | Phase::Held(_) => {
                let again = new.then != Then::Rest && self.state == ServiceState::Running;
                if again {
                    let cause = new.cause();
                    let restarting = Transition {
                        cause: Some(cause),
                        ..Transition::to(ServiceState::Restarting)
                    };
                    self.enter(
                        restarting,
                        ServiceEvent::Restarting {
                            cause,
                            attempt: 0,
                            next_attempt_at: None,
                        },
                    );
                } else {
                    self.enter_stopping(&new);
                }
                self.end(new);
            }
        }
    }

    /// A launch may take long, by its `pre_start`: the loader is asked to stop beside it.
    fn hasten_launch(&mut self, ending: &Ending) {
        if let Some(launch) = self.task.take() {
            let stop = self.stop_task(ending);
            self.task = Some(Box::pin(async { tokio::join!(launch, stop).0 }));
        }
    }

    fn enter_stopping(&mut self, ending: &Ending) {
        let cause = ending.cause();
        let stopping = Transition {
            cause: Some(cause),
            ..Transition::to(ServiceState::Stopping)
        };
        self.enter(stopping, ServiceEvent::Stopping { cause });
    }

    /// Has the loader end the present run.
    pub(super) fn end(&mut self, ending: Ending) {
        self.task = Some(self.stop_task(&ending));
        self.phase = Phase::Ending(ending);
    }

    fn stop_task(&self, ending: &Ending) -> super::Task {
        let thjalfi = Arc::clone(&self.hall.servants.thjalfi);
        let name = self.name.clone();
        let timeout = ending.timeout.unwrap_or(self.definition.shutdown_timeout);
        let kill = ending.kill;
        Box::pin(async move {
            Outcome::Stopped(if kill {
                thjalfi.force_kill_service(&name).await
            } else {
                thjalfi.stop_service(&name, timeout).await
            })
        })
    }

    /// The loader has answered. If the run has ended, the exit is on its way and says the rest.
    pub(super) async fn on_stopped(&mut self, result: std::result::Result<(), ServiceLoaderError>) {
        let Err(error) = result else { return };
        if matches!(error, ServiceLoaderError::NotRunning(_)) {
            return;
        }
        // It still runs, and nobody ends it now: that is what the hall file asked for.
        tracing::warn!(service = %self.name, %error, "still runs");
        self.phase = Phase::Running;
        let message = error.to_string();
        if self.state == ServiceState::Restarting {
            let ending = Ending::stop(Cause::User);
            self.enter_stopping(&ending);
        }
        if self.state == ServiceState::Stopping {
            self.enter(
                Transition {
                    reason: Some(message),
                    ..Transition::to(ServiceState::Running)
                },
                ServiceEvent::Ready,
            );
        }
        self.begin_monitoring().await;
        self.begin_watchdog();
        self.set_ready(true, None);
        let error = GladsheimError::from(error);
        self.answer_starters(Err(error.duplicate()));
        self.answer_stoppers(Err(error));
    }

    pub(super) fn on_reset(&mut self, reply: Reply) {
        self.hall.servants.roskva.reset_attempts(&self.name);
        let idle_failure = self.phase == Phase::Idle
            && matches!(
                self.state,
                ServiceState::Failed | ServiceState::Crashed | ServiceState::Restarting
            );
        if idle_failure {
            let cause = Cause::User;
            self.enter(
                Transition {
                    cause: Some(cause),
                    ..Transition::to(ServiceState::Stopped)
                },
                ServiceEvent::Stopped { cause },
            );
            self.overtake_starters();
        }
        self.answer(reply, Ok(()));
    }

    fn overtake_starters(&mut self) {
        self.answer_starters(Err(GladsheimError::Overtaken(self.name.clone())));
    }
}

impl Ending {
    pub(super) fn stop(cause: Cause) -> Self {
        Self {
            intent: Intent::Stop(cause),
            then: Then::Rest,
            kill: false,
            timeout: None,
        }
    }

    pub(super) fn cause(&self) -> Cause {
        match &self.intent {
            Intent::Stop(cause) | Intent::Policy { cause, .. } => *cause,
        }
    }
}
