//! Replacing the definitions of a hall that is open.

use std::{collections::HashMap, sync::Arc};

use skirnir::{Cause, ServiceState};
use tokio::task::JoinSet;

use crate::{
    EventKind, Gladsheim, GladsheimError, Plan, PlanAction, Result, ServiceDefinition,
    actor::command::Command, gladsheim, journal::format::Record, reload,
};

impl Gladsheim {
    /// What [`reload`](Self::reload) would do with these definitions at this moment.
    ///
    /// # Errors
    ///
    /// `Config` for a cycle, an unknown dependency or a name that is there twice; `ResourceManager` for
    /// limits that make no sense.
    pub fn plan(&self, services: &[ServiceDefinition]) -> Result<Plan> {
        gladsheim::check(services)?;
        for service in services {
            byggvir::limits::validate(&service.limits)?;
        }
        let started = |name: &str| {
            let known = self.skirnir.get_service(name)?;
            known.start_time.filter(|_| known.process_id != 0)
        };
        let mut plan = reload::plan_for(&self.hall.directory.definitions(), services, started);
        for step in &mut plan.steps {
            if step.action == PlanAction::Restart && !self.is_wanted(&step.service_name) {
                step.action = PlanAction::NextStart;
            }
        }
        Ok(plan)
    }

    /// Whether it runs, is about to, or has failed to; not, if it was stopped, has ended as it should, or was never started.
    fn is_wanted(&self, name: &str) -> bool {
        self.hall.directory.facts(name).is_some_and(|facts| {
            facts.read(|facts| facts.active || facts.state != ServiceState::Stopped)
        })
    }

    /// Replaces all definitions by these; returns the plan once it is carried out.
    ///
    /// Services whose definition did not change are not touched. Those that go or have to be restarted are stopped,
    /// dependents first; those that come (with `autostart`) or were stopped for a restart are then started after what they
    /// depend on, and waited for. A service that was stopped by hand, has ended as it should or was never started stays
    /// as it is, also if `autostart` changed: that holds for the next start of the hall. What went wrong with
    /// single services stands in their steps.
    ///
    /// One reload at a time: a second one waits for the first. Cancellation: dropping the future does not cancel the reload.
    ///
    /// # Errors
    ///
    /// As [`plan`](Self::plan), and `NotOpen`; everything is as it was then.
    pub async fn reload(&self, services: Vec<ServiceDefinition>) -> Result<Plan> {
        self.ensure_open()?;
        let hall = self.clone();
        let task = self.life.tasks.spawn(async move {
            let _turn = hall.life.reloading.lock().await;
            hall.carry_out(services).await
        });
        // It is never aborted, so it can only have panicked.
        task.await
            .unwrap_or_else(|error| Err(GladsheimError::Config(format!("reload: {error}"))))
    }

    async fn carry_out(&self, services: Vec<ServiceDefinition>) -> Result<Plan> {
        self.ensure_open()?;
        let mut plan = self.plan(&services)?;
        let order: Vec<_> = services
            .iter()
            .map(|service| service.name.clone())
            .collect();

        let failed = self.take_down(&plan).await;
        let is_gone = |name: &str| failed.iter().all(|(failed, _)| failed != name);
        let removed: Vec<_> = plan
            .names(PlanAction::Remove)
            .filter(|name| is_gone(name))
            .map(str::to_owned)
            .collect();
        plan.note(failed);
        for name in removed {
            let removed = self.remove_service(&name).await;
            plan.note([(name, removed)]);
        }
        let outcomes = self.redefine(&plan, services).await;
        plan.note(outcomes);
        self.hall.directory.sort(&order);
        self.tell_paths();
        let outcomes = self.bring_back(&plan).await;
        plan.note(outcomes);
        self.hall.bus.publish(EventKind::HallReloaded);
        Ok(plan)
    }

    /// Stops what goes, and holds what has to be restarted; returns whatever could not be stopped.
    async fn take_down(&self, plan: &Plan) -> Vec<(String, Result<()>)> {
        let removed = plan
            .names(PlanAction::Remove)
            .map(|name| (name.to_owned(), PlanAction::Remove));
        let restarted = plan
            .names(PlanAction::Restart)
            .map(|name| (name.to_owned(), PlanAction::Restart));
        let actions: HashMap<_, _> = removed.chain(restarted).collect();
        let names = plan
            .names(PlanAction::Remove)
            .chain(plan.names(PlanAction::Restart))
            .map(str::to_owned)
            .collect();
        let outcomes = self.orders.dependents_first(names, |orders, name| {
            let action = actions[&name];
            async move {
                let cause = Cause::Reload;
                let outcome = if action == PlanAction::Remove {
                    orders.stop_if_active(&name, cause).await.map(drop)
                } else {
                    orders
                        .ask(&name, |reply| Command::Suspend { cause, reply })
                        .await
                };
                (name, outcome)
            }
        });
        let mut outcomes = outcomes.await;
        outcomes.retain(|(_, outcome)| outcome.is_err());
        outcomes
    }

    /// Forgets a service that was stopped.
    async fn remove_service(&self, name: &str) -> Result<()> {
        let Some(entry) = self.hall.directory.remove(name) else {
            return Ok(());
        };
        // Nobody can start it from now on; somebody may have, a moment ago.
        let (reply, stopped) = tokio::sync::oneshot::channel();
        let stop = Command::Stop {
            timeout: None,
            cause: Cause::Reload,
            reply: Box::new(move |outcome| {
                // We wait for it below.
                let _ = reply.send(outcome);
            }),
        };
        let stopped = match entry.mailbox.send(Box::new(stop)) {
            Ok(()) => stopped.await.unwrap_or(Ok(())),
            Err(_) => Ok(()),
        };
        match stopped {
            Ok(()) | Err(GladsheimError::NotRunning(_)) => {}
            // It refuses to stop, in a hall that does not kill: whoever runs is known.
            Err(error) => {
                self.hall.directory.put_back(entry);
                return Err(error);
            }
        }
        self.roskva.stop_monitoring(name).await;
        self.byggvir.untrack_service(name);
        self.skirnir.unregister_service(name)?;
        self.hall.journal.write(Record::Gone(name.to_owned()));
        Ok(())
    }

    /// Adds what is new, held where it is to start, and tells the others who they are from now on.
    async fn redefine(
        &self,
        plan: &Plan,
        services: Vec<ServiceDefinition>,
    ) -> Vec<(String, Result<()>)> {
        let actions: HashMap<_, _> = plan
            .steps
            .iter()
            .map(|step| (&step.service_name, step.action))
            .collect();
        let mut outcomes = Vec::new();
        for service in services {
            let name = service.name.clone();
            let definition = Arc::new(service);
            let outcome = match actions.get(&name) {
                None | Some(PlanAction::None | PlanAction::Remove) => continue,
                Some(PlanAction::Add) => {
                    let held = definition.autostart.then_some(Cause::Reload);
                    self.add_service(definition, None, held)
                }
                Some(PlanAction::Restart | PlanAction::Apply | PlanAction::NextStart) => {
                    self.hall.directory.redefine(Arc::clone(&definition));
                    self.orders
                        .ask(&name, |reply| Command::Redefine { definition, reply })
                        .await
                }
            };
            outcomes.push((name, outcome));
        }
        outcomes
    }

    /// The loader starts what the hall knows, and nothing else.
    fn tell_paths(&self) {
        let mut paths = self.life.other_paths.clone();
        let definitions = self.hall.directory.definitions();
        paths.extend(
            definitions
                .iter()
                .map(|it| (it.name.clone(), it.path.clone())),
        );
        self.thjalfi.set_service_paths(paths);
    }

    /// Starts all that is held, each as soon as what it depends on is there.
    async fn bring_back(&self, plan: &Plan) -> Vec<(String, Result<()>)> {
        let mut starts = JoinSet::new();
        for name in plan
            .names(PlanAction::Restart)
            .chain(plan.names(PlanAction::Add))
        {
            let (orders, name) = (self.orders.clone(), name.to_owned());
            starts.spawn(async move {
                let cause = Cause::Reload;
                let started = orders
                    .ask(&name, |reply| Command::Resume { cause, reply })
                    .await;
                let outcome = match started {
                    // Not to be started, or somebody has stopped it meanwhile: as it should be.
                    Err(GladsheimError::NotRunning(_) | GladsheimError::Overtaken(_)) => Ok(()),
                    outcome => outcome,
                };
                (name, outcome)
            });
        }
        starts.join_all().await
    }
}

impl Plan {
    /// Notes what went wrong; the first thing for each service.
    fn note(&mut self, outcomes: impl IntoIterator<Item = (String, Result<()>)>) {
        for (name, outcome) in outcomes {
            let step = self.steps.iter_mut().find(|step| step.service_name == name);
            if let (Some(step), Err(error)) = (step, outcome) {
                step.error.get_or_insert(error);
            }
        }
    }
}
