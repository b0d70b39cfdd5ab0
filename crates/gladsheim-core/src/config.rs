//! Configuration of the hall: the four servants' and the services'.

use std::{path::PathBuf, time::Duration};

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
    /// Folder of the journal, which must exist and be this hall's alone. Without it nothing is remembered,
    /// and nothing that an earlier hall left running is taken over. Default: none.
    pub state_dir: Option<PathBuf>,
    /// How long a shutdown may take: what runs then is killed at once, whatever it was granted for itself. Default: as long
    /// as the services' own timeouts add up to, along the dependencies.
    pub shutdown_deadline: Option<Duration>,
    /// Number of the last event of the hall that this one goes on with, see
    /// [`Gladsheim::hand_over`](crate::Gladsheim::hand_over). Default: 0.
    pub events_before: u64,
    /// The services, in the order in which they are listed.
    pub services: Vec<ServiceDefinition>,
}
