//! Stopping one service with respect to the others, and stopping all of them.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    future::pending,
    pin::pin,
    time::Duration,
};

use skirnir::{Cause, ServiceState};
use thjalfi::Signal;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Gladsheim, GladsheimError, Result, ServiceStatus, StopOptions, StopReport,
    actor::command::Command, graph, ports::Orders,
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
            .is_some_and(|facts| facts.read(|facts| facts.active))
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

    /// How the last stop of a service went, as far as its history reaches back; `None` if its last run
    /// did not end by one.
    pub fn stop_report(&self, name: &str) -> Option<StopReport> {
        let history = self.skirnir.history(name);
        let [.., asked, stopped] = &history[..] else {
            return None;
        };
        let moves = (asked.new_state, stopped.new_state);
        let took = stopped.timestamp.duration_since(asked.timestamp);
        let status = self.get_service_status(name).ok()?;
        (moves == (ServiceState::Stopping, ServiceState::Stopped)).then(|| StopReport {
            waited: Duration::ZERO,
            // The clock may have been set back between the two.
            took: took.unwrap_or_default(),
            killed: was_killed(&status),
            service_name: status.service_name,
        })
    }

    /// Stops everything, each service as soon as all that depend on it are down, or have refused; kills what is
    /// left at the deadline. Returns how it went, the slowest first.
    pub(crate) async fn stop_all(&self) -> Vec<StopReport> {
        let began = Instant::now();
        let stop = |hall: Self, name: String| {
            let was_active = hall.is_active(&name);
            async move {
                let asked = Instant::now();
                hall.orders.stop_and_log(&name, Cause::Shutdown).await;
                let status = hall.get_service_status(&name).ok()?;
                // One that waited for others when the deadline came was killed already.
                (was_active && status.process_id == 0).then(|| StopReport {
                    waited: asked - began,
                    took: asked.elapsed(),
                    killed: was_killed(&status),
                    service_name: name,
                })
            }
        };
        let names = self.hall.directory.names();
        let stops = self
            .orders
            .dependents_first(names, |_, name| stop(self.clone(), name));
        let mut stops = pin!(stops);
        let deadline = async {
            match self.config.shutdown_deadline {
                Some(deadline) => sleep(deadline).await,
                None => pending().await,
            }
        };
        let stops = tokio::select! {
            biased;
            stops = &mut stops => stops,
            () = deadline => {
                tracing::warn!("the deadline of the shutdown has come: killing what is left");
                tokio::join!(stops, self.kill_all()).0
            }
        };
        let mut stops: Vec<_> = stops.into_iter().flatten().collect();
        stops.sort_by_key(|stop| Reverse(stop.took));
        stops
    }
}

fn was_killed(status: &ServiceStatus) -> bool {
    status.signal == Some(Signal::Kill.as_raw())
}

impl Orders {
    /// Returns whether it ran, or was about to.
    pub(crate) async fn stop_if_active(&self, name: &str, cause: Cause) -> Result<bool> {
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

    /// Returns whether it was stopped.
    async fn stop_and_log(&self, name: &str, cause: Cause) -> bool {
        self.stop_if_active(name, cause)
            .await
            .unwrap_or_else(|error| {
                tracing::warn!(service = %name, %error, "not stopped");
                false
            })
    }

    /// Stops each of these as soon as those among them that depend on it are down, or have refused.
    /// Returns those that it stopped.
    pub(crate) async fn stop_in_order(&self, names: Vec<String>, cause: Cause) -> Vec<String> {
        let stop = |orders: Self, name: String| async move {
            orders.stop_and_log(&name, cause).await.then_some(name)
        };
        let stopped = self.dependents_first(names, stop).await;
        stopped.into_iter().flatten().collect()
    }

    /// Does something to each of `names`, as soon as it is done to all of them that depend on it.
    pub(crate) async fn dependents_first<T, F>(
        &self,
        names: Vec<String>,
        act: impl Fn(Self, String) -> F,
    ) -> Vec<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let dependents = graph::dependents_among(&self.directory.definitions(), &names);
        let done: HashMap<&String, CancellationToken> = names
            .iter()
            .map(|name| (name, CancellationToken::new()))
            .collect();
        let mut tasks = JoinSet::new();
        for name in &names {
            let dependents: Vec<_> = dependents[name]
                .iter()
                .filter_map(|dependent| done.get(dependent).cloned())
                .collect();
            // Says so on every way out.
            let done = done[name].clone().drop_guard();
            let act = act(self.clone(), name.clone());
            tasks.spawn(async move {
                let _done = done;
                for dependent in dependents {
                    dependent.cancelled().await;
                }
                act.await
            });
        }
        tasks.join_all().await
    }
}
