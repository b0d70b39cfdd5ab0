//! The end of a run: to what it is attributed, and what follows.

use std::os::unix::process::ExitStatusExt;

use roskva::{CrashStage, ExitReport, RestartDecision};
use skirnir::{Cause, RunEnd, ServiceState, Transition};
use thjalfi::{ProcessExit, ServiceLoaderError};

use super::{Begun, Ending, Intent, Phase, ServiceActor, Then};
use crate::{GladsheimError, ServiceEvent};

/// What the kernel's out-of-memory killer sends.
const SIGKILL: i32 = 9;

impl ServiceActor {
    pub(super) async fn on_exit(&mut self, exit: ProcessExit) {
        let Some(run) = self.run.take() else { return };
        // Whatever the loader was still asked for, it is done.
        self.task = None;
        let ending = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Ending(ending) | Phase::Launching(Some(ending)) => Some(ending),
            Phase::Idle
            | Phase::Waiting
            | Phase::Launching(None)
            | Phase::Starting
            | Phase::Running
            | Phase::Held(_) => None,
        };
        let mut end = self.attribute(&exit, ending.as_ref());
        let report = ExitReport {
            exit_code: end.exit_code,
            signal: end.signal,
            cause: end.cause,
            uptime: run.started.elapsed(),
        };
        let stage = CrashStage::of(&self.monitor_options(), &report);
        if let (None, Some(message)) = (&ending, &mut end.error_message) {
            message.push_str(stage_words(stage));
        }
        let asked = ending
            .as_ref()
            .is_some_and(|ending| matches!(ending.intent, Intent::Stop(_)));
        let success = end.cause == Cause::Exit && end.error_message.is_none();
        self.hall.servants.byggvir.run_ended(&self.name);
        self.record_end(end.clone(), success);
        self.publish(ServiceEvent::Exited {
            cause: end.cause,
            exit_code: end.exit_code,
            signal: end.signal,
        });
        match ending {
            Some(ending) if asked => self.after_ending(&ending),
            Some(_) | None => self.after_failure(report, stage, &end, success),
        }
    }

    /// One cause for the end: what we did ourselves goes before what the exit status looks like.
    ///
    /// The kernel's out-of-memory killer may have taken a child only: the leader, if it then ends, ends
    /// by itself, and that is its own cause.
    fn attribute(&self, exit: &ProcessExit, ending: Option<&Ending>) -> RunEnd {
        let exit_code = exit.status.and_then(|status| status.code());
        let signal = exit.status.and_then(|status| status.signal());
        let mut seen = match (exit_code, signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("killed by signal {signal}"),
            (None, None) => "exit status unknown".to_owned(),
        };
        if exit.oom_kills > 0 {
            let kills = exit.oom_kills;
            seen += &format!("; the kernel killed {kills} of its processes for want of memory");
        }
        let killed = exit_code.is_none() && signal.is_none_or(|signal| signal == SIGKILL);
        let successes = &self.definition.monitor.restart.success_exit_codes;
        let (cause, error_message) = match ending.map(|ending| &ending.intent) {
            Some(Intent::Stop(cause)) => (*cause, None),
            Some(Intent::Policy { cause, message }) => (*cause, Some(message.clone())),
            None if killed && exit.oom_kills > 0 => {
                (Cause::Oom, Some(format!("out of memory: {seen}")))
            }
            None => match (exit_code, signal) {
                (Some(code), _) if successes.contains(&code) => (Cause::Exit, None),
                (Some(_), _) => (Cause::Exit, Some(seen)),
                (None, Some(_)) => (Cause::Signal, Some(seen)),
                (None, None) => (Cause::Unknown, Some(seen)),
            },
        };
        RunEnd {
            cause,
            exit_code,
            signal,
            error_message,
            at: exit.at,
        }
    }

    /// A run that was to end has ended.
    pub(super) fn after_ending(&mut self, ending: &Ending) {
        let cause = ending.cause();
        if self.state != ServiceState::Restarting {
            let stopped = Transition {
                cause: Some(cause),
                ..Transition::to(ServiceState::Stopped)
            };
            self.enter(stopped, ServiceEvent::Stopped { cause });
        }
        self.answer_stoppers(Ok(()));
        match ending.then {
            Then::Rest => {
                self.answer_starters(Err(GladsheimError::Overtaken(self.name.clone())));
            }
            Then::Again => self.begin_start(Begun::Asked),
            Then::Hold => self.phase = Phase::Held(cause),
        }
    }

    /// A run ended by itself, or because something was wrong with it.
    fn after_failure(
        &mut self,
        report: ExitReport,
        stage: CrashStage,
        end: &RunEnd,
        success: bool,
    ) {
        let was_starting = self.state == ServiceState::Starting;
        let roskva = &self.hall.servants.roskva;
        let decision = roskva.report_exit(&self.name, report);
        let cause = end.cause;
        let message = end.error_message.clone().unwrap_or_default();
        let failed = match decision {
            RestartDecision::Success => false,
            RestartDecision::Restart { .. } => !success,
            RestartDecision::Never | RestartDecision::GiveUp { .. } => true,
        };
        // A run that ends before it was ready has failed, even with exit code 0.
        if (failed || was_starting) && self.state != ServiceState::Restarting {
            let crashed = Transition {
                cause: Some(cause),
                reason: end.error_message.clone(),
                ..Transition::to(ServiceState::Crashed)
            };
            self.enter(
                crashed,
                ServiceEvent::Crashed {
                    cause,
                    message: message.clone(),
                    stage,
                },
            );
        }
        self.follow(decision, cause, &message);
        // Whoever waited for the run that has just ended learns how; a restart that follows is news
        // for the others.
        if was_starting || self.state != ServiceState::Restarting {
            let error = match cause {
                Cause::StartupTimeout => ServiceLoaderError::StartupTimeout(message),
                _ => ServiceLoaderError::SpawnFailed(format!(
                    "{}: ended before it was ready: {message}",
                    self.name
                )),
            };
            self.answer_starters(Err(error.into()));
        }
    }

    fn follow(&mut self, decision: RestartDecision, cause: Cause, message: &str) {
        let reason = (!message.is_empty()).then(|| message.to_owned());
        self.tell_group(&decision);
        match decision {
            RestartDecision::Success => {
                let stopped = Transition {
                    cause: Some(cause),
                    ..Transition::to(ServiceState::Stopped)
                };
                self.enter(stopped, ServiceEvent::Stopped { cause });
            }
            RestartDecision::Restart { attempt, at, .. } => {
                self.note_attempt(attempt, at);
                let event = ServiceEvent::Restarting {
                    cause,
                    attempt,
                    next_attempt_at: Some(at),
                };
                if self.state == ServiceState::Restarting {
                    let skirnir = &self.hall.servants.skirnir;
                    self.recorded(skirnir.update_next_attempt(&self.name, Some(at), attempt));
                    self.publish(event);
                } else {
                    let restarting = Transition {
                        cause: Some(cause),
                        reason,
                        next_attempt_at: Some(at),
                        attempt,
                        ..Transition::to(ServiceState::Restarting)
                    };
                    self.enter(restarting, event);
                }
            }
            // The service stays crashed. Where a limit had promised a restart, it is given up.
            RestartDecision::Never if self.state == ServiceState::Crashed => {}
            RestartDecision::Never | RestartDecision::GiveUp { .. } => {
                let attempt = match decision {
                    RestartDecision::GiveUp { attempts } => attempts,
                    RestartDecision::Success
                    | RestartDecision::Never
                    | RestartDecision::Restart { .. } => 0,
                };
                let failed = Transition {
                    cause: Some(cause),
                    reason,
                    attempt,
                    ..Transition::to(ServiceState::Failed)
                };
                self.enter(
                    failed,
                    ServiceEvent::Failed {
                        cause,
                        message: message.to_owned(),
                    },
                );
            }
        }
    }
}

/// What a crash's message says of how far the run had come.
fn stage_words(stage: CrashStage) -> &'static str {
    match stage {
        CrashStage::Startup => " during start-up",
        CrashStage::Running => "",
        CrashStage::Stable => " after stable running",
    }
}
