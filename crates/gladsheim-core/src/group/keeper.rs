//! The keeper of the restart groups: one task for all, and one for each group that has something to do.
//!
//! ```text
//! Restarts(x): hold those that x concerns, last one first ─> wait until nobody backs off any more
//!              ─> start all that are held, first one first; whoever fails then sends a notice of its own
//! GaveUp(x):   stop those that x concerns
//! ```

use std::collections::HashMap;

use roskva::RestartMode;
use skirnir::Cause;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::Notice;
use crate::{GladsheimError, actor::command::Command, ports::Orders};

/// Hands notices to their groups until `stop` is cancelled.
pub(crate) async fn run(
    orders: Orders,
    mut notices: mpsc::UnboundedReceiver<Notice>,
    stop: CancellationToken,
) {
    let mut groups = HashMap::new();
    // Dropped with everything else: what is held then is stopped by the shutdown.
    let mut tasks = JoinSet::new();
    while let Some(Some(notice)) = stop.run_until_cancelled(notices.recv()).await {
        let (Notice::Restarts(name) | Notice::GaveUp(name)) = &notice;
        let definition = orders.directory.definition(name);
        let Some(group) = definition.and_then(|definition| definition.restart_group.clone()) else {
            continue;
        };
        let mailbox = groups.entry(group.name).or_insert_with_key(|name| {
            let (mailbox, notices) = mpsc::unbounded_channel();
            tasks.spawn(Group::new(name.clone(), orders.clone(), notices).run());
            mailbox
        });
        // The task runs as long as the mailbox.
        let _ = mailbox.send(notice);
    }
}

struct Group {
    name: String,
    orders: Orders,
    notices: mpsc::UnboundedReceiver<Notice>,
    /// Services whose next attempt is waited for.
    awaited: Vec<String>,
    /// Whether there may be somebody to start again.
    is_due: bool,
}

impl Group {
    fn new(name: String, orders: Orders, notices: mpsc::UnboundedReceiver<Notice>) -> Self {
        Self {
            name,
            orders,
            notices,
            awaited: Vec::new(),
            is_due: false,
        }
    }

    async fn run(mut self) {
        loop {
            let arrived = all_arrived(&self.orders, &self.awaited);
            let notice = tokio::select! {
                biased;
                notice = self.notices.recv() => match notice {
                    Some(notice) => Some(notice),
                    None => return,
                },
                () = arrived, if self.is_due => None,
            };
            let mut next = notice;
            if next.is_none() {
                self.is_due = false;
                self.awaited.clear();
                next = self.start_again().await;
            }
            if let Some(notice) = next {
                self.is_due = true;
                self.on_notice(notice).await;
            }
        }
    }

    async fn on_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Restarts(name) => {
                if !self.awaited.contains(&name) {
                    self.awaited.push(name.clone());
                }
                for other in self.concerned(&name).iter().rev() {
                    if !self.awaited.contains(other) {
                        self.hold(other).await;
                    }
                }
            }
            Notice::GaveUp(name) => self.give_up(&name).await,
        }
    }

    /// Members in the order of the configuration.
    fn members(&self) -> Vec<String> {
        let directory = &self.orders.directory;
        let names = directory.names().into_iter();
        names.filter(|name| self.is_member(name)).collect()
    }

    fn is_member(&self, name: &str) -> bool {
        let definition = self.orders.directory.definition(name);
        definition.is_some_and(|definition| {
            let group = definition.restart_group.as_ref();
            group.is_some_and(|group| group.name == self.name)
        })
    }

    fn concerned(&self, name: &str) -> Vec<String> {
        let definition = self.orders.directory.definition(name);
        let group = definition.and_then(|definition| definition.restart_group.clone());
        let strategy = group.map(|group| group.strategy).unwrap_or_default();
        let members = self.members();
        let concerned = strategy.concerned(&members, name);
        concerned.into_iter().cloned().collect()
    }

    async fn hold(&self, name: &str) {
        let definition = self.orders.directory.definition(name);
        if definition.is_some_and(|it| it.monitor.restart.mode == RestartMode::Never) {
            return self.stop(name).await;
        }
        let cause = Cause::Dependency;
        let held = self
            .orders
            .ask(name, |reply| Command::Suspend { cause, reply });
        if let Err(error) = held.await {
            tracing::warn!(service = name, group = self.name, %error, "not restarted with its group");
        }
        // A reload may have taken it out of the group meanwhile; then nobody else starts it again.
        if !self.is_member(name) {
            let resume = |reply| Command::Resume { cause, reply };
            // Not held any more, or it cannot be started: its status says so.
            let _ = self.orders.ask(name, resume).await;
        }
    }

    async fn stop(&self, name: &str) {
        let stopped = self.orders.ask(name, |reply| Command::Stop {
            timeout: None,
            cause: Cause::Dependency,
            reply,
        });
        match stopped.await {
            Ok(()) | Err(GladsheimError::NotRunning(_) | GladsheimError::ServiceNotFound(_)) => {}
            Err(error) => {
                tracing::warn!(service = name, group = self.name, %error, "not stopped with its group");
            }
        }
    }

    async fn give_up(&mut self, name: &str) {
        tracing::warn!(
            service = name,
            group = self.name,
            "its restart group is given up with it"
        );
        let concerned = self.concerned(name);
        self.awaited
            .retain(|awaited| awaited != name && !concerned.contains(awaited));
        for other in concerned.iter().rev() {
            self.stop(other).await;
        }
    }

    /// Starts all that are held, each when the one before is ready; returns the notice that overtakes it.
    async fn start_again(&mut self) -> Option<Notice> {
        for name in self.members() {
            let cause = Cause::Dependency;
            if self.fact(&name, |facts| facts.held) != Some(Some(cause)) {
                continue;
            }
            let started = self
                .orders
                .ask(&name, |reply| Command::Resume { cause, reply });
            let outcome = tokio::select! {
                biased;
                notice = self.notices.recv() => return notice,
                outcome = started => outcome,
            };
            match outcome {
                // Up; or somebody has stopped it meanwhile.
                Ok(()) | Err(GladsheimError::NotRunning(_) | GladsheimError::Overtaken(_)) => {}
                // A reload has taken it out of the group: what becomes of it concerns the others no more.
                Err(_) if !self.is_member(&name) => {}
                // It will be restarted, so its notice is on the way.
                Err(error) if self.fact(&name, |facts| facts.active) == Some(true) => {
                    tracing::debug!(service = name, %error, "the group waits for another attempt");
                    return None;
                }
                Err(_) => return Some(Notice::GaveUp(name)),
            }
        }
        None
    }

    fn fact<T>(
        &self,
        name: &str,
        read: impl FnOnce(&crate::actor::facts::Facts) -> T,
    ) -> Option<T> {
        let facts = self.orders.directory.facts(name)?;
        Some(facts.read(read))
    }
}

/// Waits until none of them waits for the time of its next attempt.
async fn all_arrived(orders: &Orders, names: &[String]) {
    for name in names {
        if let Some(facts) = orders.directory.facts(name) {
            // One that is gone is not waited for.
            let _ = facts
                .until(|facts| (!facts.backing_off).then_some(()))
                .await;
        }
    }
}
