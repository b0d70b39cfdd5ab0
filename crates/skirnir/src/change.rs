//! How the registry is changed: one change after the other, each worked out before anybody sees it.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use gladsheim_types::{Cause, ResourceUsage, ServiceHealth};

use crate::{
    RegistryChangeKind, RunEnd, ServiceMetadata, ServiceRegistry, ServiceRegistryError,
    ServiceState, StateChange, Transition,
    entry::Entry,
    sync::{lock, write},
};

type Result<T> = std::result::Result<T, ServiceRegistryError>;

/// Whether a change is told to those who follow the registry.
enum Told {
    Yes,
    /// It is a measurement.
    No,
}

impl ServiceRegistry {
    /// Registers a service; everything but its name is taken as it is given.
    ///
    /// # Errors
    ///
    /// `AlreadyRegistered`; `RegistryLocked` after [`lock`](Self::lock).
    pub fn register_service(
        &self,
        service_name: String,
        mut metadata: ServiceMetadata,
    ) -> Result<()> {
        metadata.service_name.clone_from(&service_name);
        let metadata = Arc::new(metadata);
        let writer = lock(&self.inner.writer);
        if writer.locked {
            return Err(ServiceRegistryError::RegistryLocked);
        }
        if self.is_registered(&service_name) {
            return Err(ServiceRegistryError::AlreadyRegistered(service_name));
        }
        let entry = Arc::new(Entry::new(Arc::clone(&metadata)));
        write(&self.inner.services).insert(service_name, entry);
        self.recount(None, Some(metadata.state));
        self.inner
            .log
            .push(RegistryChangeKind::Registered(metadata));
        Ok(())
    }

    /// Removes a service and its history.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    pub fn unregister_service(&self, service_name: &str) -> Result<()> {
        let _writer = lock(&self.inner.writer);
        let entry = write(&self.inner.services).remove(service_name);
        let state = entry
            .ok_or_else(|| not_found(service_name))?
            .metadata()
            .state;
        self.recount(Some(state), None);
        let name = service_name.to_owned();
        self.inner.log.push(RegistryChangeKind::Unregistered(name));
        Ok(())
    }

    /// Moves a service to another state, without a cause, a reason or a next attempt.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`, `InvalidTransition`.
    pub fn update_state(&self, service_name: &str, new_state: ServiceState) -> Result<()> {
        self.transition(service_name, Transition::to(new_state))
    }

    /// Added: moves a service to another state, with what goes with it. The cause stands in the
    /// [`StateChange`]; [`ServiceMetadata::cause`] is that of the last end, and
    /// [`record_end`](Self::record_end)'s.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`, `InvalidTransition`; nothing has changed then.
    pub fn transition(&self, service_name: &str, transition: Transition) -> Result<()> {
        let mut writer = lock(&self.inner.writer);
        let (entry, mut metadata) = self.checked_out(service_name)?;
        let old_state = metadata.state;
        let new_state = transition.new_state;
        if !old_state.is_valid_transition(new_state) {
            return Err(ServiceRegistryError::InvalidTransition(
                old_state, new_state,
            ));
        }
        writer.seq += 1;
        let change = Arc::new(StateChange {
            service_name: service_name.to_owned(),
            old_state,
            new_state,
            timestamp: SystemTime::now(),
            seq: writer.seq,
            generation: metadata.generation,
            cause: transition.cause,
            reason: transition.reason.clone(),
        });
        metadata.state = new_state;
        metadata.reason = transition.reason;
        metadata.next_attempt_at = transition.next_attempt_at;
        metadata.attempt = transition.attempt;
        let metadata = Arc::new(metadata);
        entry.remember(Arc::clone(&change));
        entry.replace(Arc::clone(&metadata));
        self.recount(Some(old_state), Some(new_state));
        // The registry is up to date; now it may be told of.
        self.inner.outbox.post(&change);
        if let Some(changes) = self.inner.changes.get() {
            // An error says that nobody listens.
            let _ = changes.send((*change).clone());
        }
        self.inner
            .log
            .push(RegistryChangeKind::StateChanged { change, metadata });
        drop(writer);
        self.inner.outbox.deliver();
        Ok(())
    }

    /// Added: records the process of a new run: `process_id`, `start_time`, no `stop_time`, the next
    /// generation; it is not ready, and has neither usage nor health yet.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    pub fn record_start(
        &self,
        service_name: &str,
        process_id: u32,
        start_time: SystemTime,
    ) -> Result<()> {
        self.edit(service_name, |service| {
            service.process_id = process_id;
            service.start_time = Some(start_time);
            service.stop_time = None;
            service.generation = service.generation.saturating_add(1);
            forget_run(service);
            Told::Yes
        })
    }

    /// Added: records the end of a run: `process_id` 0, `stop_time`, how it ended; it is no longer ready,
    /// and its usage and health are dropped.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    pub fn record_end(&self, service_name: &str, end: RunEnd) -> Result<()> {
        self.edit(service_name, |service| {
            service.process_id = 0;
            service.stop_time = Some(end.at);
            service.cause = Some(end.cause);
            service.exit_code = end.exit_code;
            service.signal = end.signal;
            service.error_message = end.error_message;
            forget_run(service);
            Told::Yes
        })
    }

    /// Added: one more automatic restart; at `u32::MAX` it stays there.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    pub fn record_restart(&self, service_name: &str) -> Result<()> {
        self.edit(service_name, |service| {
            service.restart_count = service.restart_count.saturating_add(1);
            let cause = service.cause.unwrap_or(Cause::Unknown);
            match service
                .restart_causes
                .iter_mut()
                .find(|(of, _)| *of == cause)
            {
                Some((_, count)) => *count = count.saturating_add(1),
                None => service.restart_causes.push((cause, 1)),
            }
            Told::Yes
        })
    }

    /// Added: whether the service is ready, and why, for a person (`None` leaves the reason as
    /// it is, an empty one clears it).
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    pub fn update_readiness(
        &self,
        service_name: &str,
        ready: bool,
        reason: Option<String>,
    ) -> Result<()> {
        self.edit(service_name, |service| {
            service.ready = ready;
            if let Some(reason) = reason {
                service.reason = (!reason.is_empty()).then_some(reason);
            }
            Told::Yes
        })
    }

    /// Added: when the next attempt of a service that restarts is due, `None` if that is not known, and which
    /// it is.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    pub fn update_next_attempt(
        &self,
        service_name: &str,
        next_attempt_at: Option<SystemTime>,
        attempt: u32,
    ) -> Result<()> {
        self.edit(service_name, |service| {
            service.next_attempt_at = next_attempt_at;
            service.attempt = attempt;
            Told::Yes
        })
    }

    /// Records the last sample.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    pub fn update_resource_usage(&self, service_name: &str, usage: ResourceUsage) -> Result<()> {
        let writer = lock(&self.inner.writer);
        let entry = self.inner.entry(service_name);
        let entry = entry.ok_or_else(|| not_found(service_name))?;
        if entry.edit_in_place(|service| service.resource_usage = Some(usage.clone())) {
            return Ok(());
        }
        drop(writer);
        self.edit(service_name, |service| {
            service.resource_usage = Some(usage);
            Told::No
        })
    }

    /// Records the last health.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    pub fn update_health_status(&self, service_name: &str, health: ServiceHealth) -> Result<()> {
        self.edit(service_name, |service| {
            let verdict = health.status;
            let before = service.health_status.replace(health);
            if before.is_some_and(|health| health.status == verdict) {
                Told::No
            } else {
                Told::Yes
            }
        })
    }

    /// Added: another process stands for the present run; all else about that stays.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    pub fn update_process(&self, service_name: &str, process_id: u32) -> Result<()> {
        self.edit(service_name, |service| {
            service.process_id = process_id;
            Told::Yes
        })
    }

    /// Added: the addresses where the service listens, as its declaration or the service itself has them.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    pub fn update_endpoints(&self, service_name: &str, endpoints: Vec<String>) -> Result<()> {
        self.edit(service_name, |service| {
            service.endpoints = endpoints;
            Told::Yes
        })
    }

    /// Added: replaces the custom metadata.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    pub fn update_custom(&self, service_name: &str, custom: HashMap<String, String>) -> Result<()> {
        self.edit(service_name, |service| {
            service.custom = custom;
            Told::Yes
        })
    }

    /// Added: from now on nothing is registered (shutdown has begun). What is registered can still be
    /// changed and removed.
    pub fn lock(&self) {
        lock(&self.inner.writer).locked = true;
    }

    /// Changes what is known about a service, but not its state.
    fn edit(
        &self,
        service_name: &str,
        edit: impl FnOnce(&mut ServiceMetadata) -> Told,
    ) -> Result<()> {
        let _writer = lock(&self.inner.writer);
        let (entry, mut metadata) = self.checked_out(service_name)?;
        let told = edit(&mut metadata);
        let metadata = Arc::new(metadata);
        entry.replace(Arc::clone(&metadata));
        match told {
            Told::Yes => self.inner.log.push(RegistryChangeKind::Updated(metadata)),
            Told::No => {}
        }
        Ok(())
    }

    /// A service's entry, and a copy of what is known about it for the writer to work on.
    fn checked_out(&self, service_name: &str) -> Result<(Arc<Entry>, ServiceMetadata)> {
        let entry = self
            .inner
            .entry(service_name)
            .ok_or_else(|| not_found(service_name))?;
        let metadata = ServiceMetadata::clone(&entry.metadata());
        Ok((entry, metadata))
    }

    fn recount(&self, from: Option<ServiceState>, to: Option<ServiceState>) {
        let mut counts = write(&self.inner.counts);
        if let Some(state) = from {
            counts[state as usize] -= 1;
        }
        if let Some(state) = to {
            counts[state as usize] += 1;
        }
    }
}

fn not_found(service_name: &str) -> ServiceRegistryError {
    ServiceRegistryError::ServiceNotFound(service_name.to_owned())
}

/// Drops what belongs to one run.
fn forget_run(service: &mut ServiceMetadata) {
    service.ready = false;
    service.resource_usage = None;
    service.health_status = None;
}
