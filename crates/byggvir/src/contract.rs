//! The contract, by the manager's own methods.

use async_trait::async_trait;
use gladsheim_types::{ResourceLimits, ResourceUsage};
use tokio::sync::broadcast;

use crate::{
    LimitPolicy, LimitViolation, ProcessTree, ResourceEvent, ResourceManager, ResourceManagerApi,
    ResourceManagerError, SystemResourceUsage, UsageDetail, ViolationListener,
};

#[async_trait]
impl ResourceManagerApi for ResourceManager {
    async fn start_monitoring(&self) {
        self.start_monitoring().await;
    }

    async fn stop_monitoring(&self) {
        self.stop_monitoring().await;
    }

    fn track_service(&self, service_name: &str, tree: ProcessTree) {
        self.track_service(service_name, tree);
    }

    fn untrack_service(&self, service_name: &str) {
        self.untrack_service(service_name);
    }

    fn run_ended(&self, service_name: &str) {
        self.run_ended(service_name);
    }

    fn get_resource_usage(
        &self,
        service_name: &str,
    ) -> Result<ResourceUsage, ResourceManagerError> {
        self.get_resource_usage(service_name)
    }

    fn get_usage_detail(&self, service_name: &str) -> Result<UsageDetail, ResourceManagerError> {
        self.get_usage_detail(service_name)
    }

    fn get_usage_details(
        &self,
        service_names: &[String],
    ) -> Vec<Result<UsageDetail, ResourceManagerError>> {
        self.get_usage_details(service_names)
    }

    fn get_system_usage(&self) -> SystemResourceUsage {
        self.get_system_usage()
    }

    fn set_resource_limits(
        &self,
        service_name: &str,
        limits: ResourceLimits,
    ) -> Result<(), ResourceManagerError> {
        self.set_resource_limits(service_name, limits)
    }

    fn set_limit_policy(&self, service_name: &str, policy: LimitPolicy) {
        self.set_limit_policy(service_name, policy);
    }

    fn get_resource_limits(
        &self,
        service_name: &str,
    ) -> Result<ResourceLimits, ResourceManagerError> {
        self.get_resource_limits(service_name)
    }

    fn check_limits(
        &self,
        service_name: &str,
    ) -> Result<Option<LimitViolation>, ResourceManagerError> {
        self.check_limits(service_name)
    }

    fn limits_enforced_by(&self, service_name: &str) -> &'static str {
        self.limits_enforced_by(service_name)
    }

    fn measured_by(&self, service_name: &str) -> &'static str {
        self.measured_by(service_name)
    }

    fn oom_kills(&self, service_name: &str) -> u64 {
        self.oom_kills(service_name)
    }

    fn on_battery(&self) -> bool {
        self.on_battery()
    }

    fn add_violation_listener(&self, listener: ViolationListener) {
        self.add_violation_listener(listener);
    }

    fn subscribe(&self) -> broadcast::Receiver<ResourceEvent> {
        self.subscribe()
    }
}
