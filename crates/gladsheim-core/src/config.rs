//! Configuration of the hall: the four servants' and the services'.

use byggvir::ResourceManagerConfig;
use roskva::HealthMonitorConfig;
use thjalfi::ServiceLoaderConfig;

use crate::ServiceDefinition;

/// Configuration of a [`Gladsheim`](crate::Gladsheim).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GladsheimConfig {
    /// Thjalfi's. The hall fills `service_paths` from `services`.
    pub loader: ServiceLoaderConfig,
    /// Byggvir's.
    pub resources: ResourceManagerConfig,
    /// Roskva's.
    pub health: HealthMonitorConfig,
    /// The services, in the order in which they are listed.
    pub services: Vec<ServiceDefinition>,
}
