//! What the hall can be asked about; every answer comes at once but for a check of health.

use std::{sync::Arc, time::Duration};

use byggvir::{ResourceLimits, ResourceUsage, SystemResourceUsage, UsageDetail};
use roskva::{CheckStatistics, HealthUpdateStream, ServiceHealth};
use skirnir::{ServiceMetadata, ServiceStatistics};
use thjalfi::{LogQuery, LogStream};

use crate::{
    EventCounts, Gladsheim, GladsheimConfig, GladsheimError, Result, ServiceDefinition,
    ServiceDescription, ServiceStatus, Subscription,
};

impl Gladsheim {
    /// The configuration that the hall was made with; its services have moved on to
    /// [`definition`](Self::definition).
    pub fn config(&self) -> &GladsheimConfig {
        &self.config
    }

    /// Status of one service.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    pub fn get_service_status(&self, name: &str) -> Result<ServiceStatus> {
        self.skirnir
            .get_service(name)
            .map(|metadata| self.status_of(&metadata))
            .ok_or_else(|| GladsheimError::ServiceNotFound(name.to_owned()))
    }

    /// Status of all services, in the order of the configuration.
    pub fn list_services(&self) -> Vec<ServiceStatus> {
        self.service_names()
            .iter()
            .filter_map(|name| self.get_service_status(name).ok())
            .collect()
    }

    /// One service at length. Blocks as [`ServiceProcess::processes`](thjalfi::ServiceProcess::processes)
    /// does.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`; `ServiceLoader` if its processes cannot be listed.
    pub fn describe_service(&self, name: &str) -> Result<ServiceDescription> {
        let status = self.get_service_status(name)?;
        let processes = match self.thjalfi.get_process(name) {
            Some(process) => process
                .processes()
                .map_err(thjalfi::ServiceLoaderError::from)?,
            None => Vec::new(),
        };
        let depends_on = self
            .definition(name)
            .map(|service| service.depends_on.clone());
        Ok(ServiceDescription {
            status,
            history: self.skirnir.history(name),
            processes,
            depends_on: depends_on.unwrap_or_default(),
        })
    }

    fn status_of(&self, metadata: &ServiceMetadata) -> ServiceStatus {
        let definition = self.definition(&metadata.service_name);
        let restart = definition.as_ref().map(|service| &service.monitor.restart);
        ServiceStatus {
            max_attempts: restart.map_or(0, |restart| restart.max_attempts),
            attempts_window: restart.map_or(Duration::ZERO, |restart| restart.window),
            containment: self.thjalfi.containment().to_owned(),
            limits_enforced_by: self
                .byggvir
                .limits_enforced_by(&metadata.service_name)
                .to_owned(),
            measured_by: self.byggvir.measured_by(&metadata.service_name).to_owned(),
            ..ServiceStatus::from_metadata(metadata)
        }
    }

    /// Names of all services, in the order of the configuration.
    pub fn service_names(&self) -> Vec<String> {
        self.hall.directory.names()
    }

    /// Definition of one service.
    pub fn definition(&self, name: &str) -> Option<Arc<ServiceDefinition>> {
        self.hall.directory.definition(name)
    }

    /// Last known health; `unknown` if it does not run.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    pub fn get_health(&self, name: &str) -> Result<ServiceHealth> {
        let definition = self.hall.directory.known(name)?;
        Ok(self
            .roskva
            .get_health(name)
            .unwrap_or_else(|_| ServiceHealth {
                service_name: name.to_owned(),
                check_strategy: definition.monitor.liveness.strategy.clone(),
                ..ServiceHealth::default()
            }))
    }

    /// Checks now, outside the schedule.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`; `NotRunning` if there is nothing to check. A check that fails is no error.
    pub async fn check_health(&self, name: &str) -> Result<ServiceHealth> {
        self.hall.directory.known(name)?;
        if !self.thjalfi.is_running(name) {
            return Err(GladsheimError::NotRunning(name.to_owned()));
        }
        match self.roskva.check_health_now(name).await {
            Err(roskva::HealthMonitorError::ServiceNotFound(name)) => {
                Err(GladsheimError::NotRunning(name))
            }
            outcome => Ok(outcome?),
        }
    }

    /// Updates of the health of a service that is running.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`; `NotRunning` if it has never run.
    pub fn watch_health(&self, name: &str) -> Result<HealthUpdateStream> {
        self.hall.directory.known(name)?;
        self.roskva
            .subscribe_health_updates(name)
            .map_err(|_| GladsheimError::NotRunning(name.to_owned()))
    }

    /// Last sample of a running service.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`; `NotRunning`; `ResourceManager` if it could not be measured.
    pub fn get_resource_usage(&self, name: &str) -> Result<ResourceUsage> {
        self.hall.directory.known(name)?;
        match self.byggvir.get_resource_usage(name) {
            Err(byggvir::ResourceManagerError::ServiceNotFound(name)) => {
                Err(GladsheimError::NotRunning(name))
            }
            outcome => Ok(outcome?),
        }
    }

    /// What is read about a running service only on request. Blocks for some milliseconds where there
    /// are very many processes.
    ///
    /// # Errors
    ///
    /// As [`get_resource_usage`](Self::get_resource_usage).
    pub fn get_usage_detail(&self, name: &str) -> Result<UsageDetail> {
        self.hall.directory.known(name)?;
        match self.byggvir.get_usage_detail(name) {
            Err(byggvir::ResourceManagerError::ServiceNotFound(name)) => {
                Err(GladsheimError::NotRunning(name))
            }
            outcome => Ok(outcome?),
        }
    }

    /// As [`get_usage_detail`](Self::get_usage_detail) for several services, in their order; `None` for one that
    /// does not run. Blocks longer: for a thousand services some hundred milliseconds.
    pub fn get_usage_details(&self, names: &[String]) -> Vec<Option<UsageDetail>> {
        let details = self.byggvir.get_usage_details(names);
        details.into_iter().map(|detail| detail.ok()).collect()
    }

    /// How long the checks of a service take, and how they end, for each kind of check that has run.
    pub fn get_check_statistics(&self, name: &str) -> Vec<CheckStatistics> {
        self.roskva.check_statistics(name)
    }

    /// What the bus has carried so far.
    pub fn event_counts(&self) -> EventCounts {
        self.hall.bus.counts()
    }

    /// Usage of the machine.
    pub fn get_system_usage(&self) -> SystemResourceUsage {
        self.byggvir.get_system_usage()
    }

    /// Limits of a service.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`.
    pub fn get_resource_limits(&self, name: &str) -> Result<ResourceLimits> {
        self.hall.directory.known(name)?;
        Ok(self.byggvir.get_resource_limits(name)?)
    }

    /// Sets limits of a service, running or not; they hold until the next reload.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`; `ResourceManager` with `InvalidLimits`.
    pub fn set_resource_limits(&self, name: &str, limits: ResourceLimits) -> Result<()> {
        self.hall.directory.known(name)?;
        Ok(self.byggvir.set_resource_limits(name, limits)?)
    }

    /// Counts per state.
    pub fn get_statistics(&self) -> ServiceStatistics {
        self.skirnir.get_statistics()
    }

    /// Captured output.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`; `ServiceLoader` if it cannot be read.
    pub fn read_log(&self, name: &str, query: LogQuery) -> Result<LogStream> {
        self.hall.directory.known(name)?;
        Ok(self.thjalfi.read_log(name, query)?)
    }

    /// Events after number `since` that are still held, and all that follow.
    pub fn events_since(&self, since: u64) -> Subscription {
        self.hall.bus.subscribe_since(since)
    }

    /// What is wrong with the journal, for a person; `None` if nothing is.
    pub fn journal_problem(&self) -> Option<String> {
        self.hall.journal.problem()
    }

    /// Which containment is active: `cgroup` or `session`.
    pub fn containment(&self) -> &'static str {
        self.thjalfi.containment()
    }
}
