//! The trait, answered by the inherent methods of the same names.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use gladsheim_types::{ResourceUsage, ServiceHealth};
use tokio::sync::broadcast;

use crate::{
    RegistryWatch, RunEnd, ServiceFilter, ServiceMetadata, ServiceRegistry, ServiceRegistryApi,
    ServiceRegistryError, ServiceState, ServiceStatistics, StateChange, StateListener, Transition,
};

impl ServiceRegistryApi for ServiceRegistry {
    fn register_service(
        &self,
        service_name: String,
        metadata: ServiceMetadata,
    ) -> Result<(), ServiceRegistryError> {
        self.register_service(service_name, metadata)
    }

    fn unregister_service(&self, service_name: &str) -> Result<(), ServiceRegistryError> {
        self.unregister_service(service_name)
    }

    fn get_service(&self, service_name: &str) -> Option<Arc<ServiceMetadata>> {
        self.get_service(service_name)
    }

    fn list_services(&self) -> Vec<Arc<ServiceMetadata>> {
        self.list_services()
    }

    fn list_services_by_state(&self, state: ServiceState) -> Vec<Arc<ServiceMetadata>> {
        self.list_services_by_state(state)
    }

    fn find_services(&self, filter: &ServiceFilter) -> Vec<Arc<ServiceMetadata>> {
        self.find_services(filter)
    }

    fn is_registered(&self, service_name: &str) -> bool {
        self.is_registered(service_name)
    }

    fn update_state(
        &self,
        service_name: &str,
        new_state: ServiceState,
    ) -> Result<(), ServiceRegistryError> {
        self.update_state(service_name, new_state)
    }

    fn transition(
        &self,
        service_name: &str,
        transition: Transition,
    ) -> Result<(), ServiceRegistryError> {
        self.transition(service_name, transition)
    }

    fn record_start(
        &self,
        service_name: &str,
        process_id: u32,
        start_time: SystemTime,
    ) -> Result<(), ServiceRegistryError> {
        self.record_start(service_name, process_id, start_time)
    }

    fn record_end(&self, service_name: &str, end: RunEnd) -> Result<(), ServiceRegistryError> {
        self.record_end(service_name, end)
    }

    fn update_process(
        &self,
        service_name: &str,
        process_id: u32,
    ) -> Result<(), ServiceRegistryError> {
        self.update_process(service_name, process_id)
    }

    fn record_restart(&self, service_name: &str) -> Result<(), ServiceRegistryError> {
        self.record_restart(service_name)
    }

    fn update_readiness(
        &self,
        service_name: &str,
        ready: bool,
        reason: Option<String>,
    ) -> Result<(), ServiceRegistryError> {
        self.update_readiness(service_name, ready, reason)
    }

    fn update_next_attempt(
        &self,
        service_name: &str,
        next_attempt_at: Option<SystemTime>,
        attempt: u32,
    ) -> Result<(), ServiceRegistryError> {
        self.update_next_attempt(service_name, next_attempt_at, attempt)
    }

    fn update_resource_usage(
        &self,
        service_name: &str,
        usage: ResourceUsage,
    ) -> Result<(), ServiceRegistryError> {
        self.update_resource_usage(service_name, usage)
    }

    fn update_health_status(
        &self,
        service_name: &str,
        health: ServiceHealth,
    ) -> Result<(), ServiceRegistryError> {
        self.update_health_status(service_name, health)
    }

    fn update_endpoints(
        &self,
        service_name: &str,
        endpoints: Vec<String>,
    ) -> Result<(), ServiceRegistryError> {
        self.update_endpoints(service_name, endpoints)
    }

    fn update_custom(
        &self,
        service_name: &str,
        custom: HashMap<String, String>,
    ) -> Result<(), ServiceRegistryError> {
        self.update_custom(service_name, custom)
    }

    fn history(&self, service_name: &str) -> Vec<StateChange> {
        self.history(service_name)
    }

    fn add_state_listener(&self, listener: StateListener) {
        self.add_state_listener(listener)
    }

    fn get_statistics(&self) -> ServiceStatistics {
        self.get_statistics()
    }

    fn lock(&self) {
        self.lock()
    }

    fn subscribe(&self) -> broadcast::Receiver<StateChange> {
        self.subscribe()
    }

    fn watch_from(&self, revision: Option<u64>) -> RegistryWatch {
        self.watch_from(revision)
    }
}
