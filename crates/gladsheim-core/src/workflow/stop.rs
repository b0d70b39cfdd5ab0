//! Stopping one service with respect to the others, and stopping all of them.

use std::collections::{HashMap, HashSet};

use skirnir::Cause;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    Gladsheim, GladsheimError, Result, ServiceStatus, StopOptions, actor::command::Command,
    ports::Orders,
};

impl Gladsheim {
    /// Stops a service gracefully; returns when its whole process tree is gone.
    ///
    /// Cancellation: dropping the future does not cancel the stop.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`; `NotRunning`; `NeededByOthers` unless `options.force`; `ServiceLoader` with
    /// `ShutdownTimeout` where the hall does not kill.
    pub async fn stop_service(&self, name: &str, options: StopOptions) -> Result<ServiceStatus> {
        self.hall.directory.known(name)?;
        let dependents = self.active_dependents(name);
        if !dependents.is_empty() {
            if !options.force {
                return Err(GladsheimError::NeededByOthers {
                    service_name: name.to_owned(),
                    dependents,
                });
            }
            for dependent in self.stop_order(name) {
                self.orders
                    .stop_if_active(&dependent, Cause::Dependency)
                    .await?;
            }
        }
        let StopOptions { timeout, .. } = options;
        self.orders
            .ask(name, |reply| Command::Stop {
                timeout,
                cause: Cause::User,
                reply,
            })
            .await?;
        self.get_service_status(name)
    }

    fn active_dependents(&self, name: &str) -> Vec<String> {
        let mut dependents = self.hall.directory.dependents(name);
        dependents.retain(|dependent| self.is_active(dependent));
        dependents
    }

    fn is_active(&self, name: &str) -> bool {
        self.hall
            .directory
            .facts(name)
            .is_some_and(|facts| facts.borrow().active)
    }

    /// All that depends on `name`, directly or not, so that nobody comes before who needs them.
    fn stop_order(&self, name: &str) -> Vec<String> {
        let mut order = Vec::new();
        let mut seen = HashSet::new();
        let mut open = vec![(name.to_owned(), false)];
        while let Some((current, expanded)) = open.pop() {
            if expanded {
                if current != name {
                    order.push(current);
                }
            } else if seen.insert(current.clone()) {
                let dependents = self.hall.directory.dependents(&current);
                open.push((current, true));
                open.extend(dependents.into_iter().map(|dependent| (dependent, false)));
            }
        }
        order
    }

    /// Stops everything, each service as soon as all that depend on it are down, or have refused.
    pub(crate) async fn stop_all(&self) {
        let names = self.hall.directory.names();
        self.orders.stop_in_order(names, Cause::Shutdown).await;
    }
}

impl Orders {
    /// Returns whether it ran, or was about to.
    async fn stop_if_active(&self, name: &str, cause: Cause) -> Result<bool> {
        let stop = |reply| Command::Stop {
            timeout: None,
            cause,
            reply,
        };
        match self.ask(name, stop).await {
            Ok(()) => Ok(true),
            // Not running is what was wanted.
            Err(GladsheimError::NotRunning(_) | GladsheimError::ServiceNotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Stops each of these as soon as those among them that depend on it are down, or have refused.
    /// Returns those that it stopped.
    pub(crate) async fn stop_in_order(&self, names: Vec<String>, cause: Cause) -> Vec<String> {
        let done: HashMap<String, CancellationToken> = names
            .iter()
            .map(|name| (name.clone(), CancellationToken::new()))
            .collect();
        let mut stops = JoinSet::new();
        for name in names {
            let orders = self.clone();
            let dependents = self.directory.dependents(&name);
            let dependents: Vec<_> = dependents
                .iter()
                .filter_map(|dependent| done.get(dependent).cloned())
                .collect();
            let done = done.get(&name).cloned();
            stops.spawn(async move {
                // Says so on every way out.
                let _done = done.map(CancellationToken::drop_guard);
                for dependent in dependents {
                    dependent.cancelled().await;
                }
                match orders.stop_if_active(&name, cause).await {
                    Ok(stopped) => stopped.then_some(name),
                    Err(error) => {
                        tracing::warn!(service = %name, %error, "not stopped");
                        None
                    }
                }
            });
        }
        let mut stopped = Vec::new();
        while let Some(stop) = stops.join_next().await {
            stopped.extend(stop.ok().flatten());
        }
        stopped
    }
}
