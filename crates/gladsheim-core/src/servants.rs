//! The four servants behind their traits.

use std::{fmt, sync::Arc};

use byggvir::{
    BatteryHandler, HostProbe, LimitHandler, PowerSupplyClass, ResourceManager, ResourceManagerApi,
    ResourceManagerPorts,
    pressure::{PressureFiles, PressureSource},
};
use roskva::{HealthMonitor, HealthMonitorApi, MonitorPorts, RestartHandler};
use skirnir::{ServiceRegistry, ServiceRegistryApi};
use thjalfi::{ServiceLoader, ServiceLoaderApi};

use crate::{
    GladsheimConfig,
    directory::Directory,
    ports::{BatteryPace, LoaderCommands, LoaderLiveness, Machine, Orders},
};

/// What servants need from the hall that they serve: the ports of roskva and byggvir.
#[derive(Clone)]
pub struct HallPorts {
    /// Carries out what roskva's restart policy decides.
    pub restart: Arc<dyn RestartHandler>,
    /// Carries out what byggvir's limits demand.
    pub limits: Arc<dyn LimitHandler>,
    /// Stops what can wait when byggvir's battery runs low.
    pub battery: Arc<dyn BatteryHandler>,
}

impl HallPorts {
    /// Ports that lead to the actors of `directory`.
    pub(crate) fn to(directory: &Arc<Directory>) -> Self {
        let orders = Arc::new(Orders {
            directory: Arc::clone(directory),
        });
        Self {
            restart: Arc::clone(&orders) as _,
            limits: Arc::clone(&orders) as _,
            battery: orders,
        }
    }
}

impl fmt::Debug for HallPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HallPorts").finish_non_exhaustive()
    }
}

/// The four servants that a hall works with: the real ones, mocks, or a stranger's.
#[derive(Clone)]
pub struct Servants {
    /// Service loader.
    pub thjalfi: Arc<dyn ServiceLoaderApi>,
    /// Resource manager.
    pub byggvir: Arc<dyn ResourceManagerApi>,
    /// Health monitor.
    pub roskva: Arc<dyn HealthMonitorApi>,
    /// Service registry.
    pub skirnir: Arc<dyn ServiceRegistryApi>,
}

impl Servants {
    /// The real ones.
    pub(crate) fn real(config: &GladsheimConfig, ports: HallPorts) -> Self {
        let thjalfi: Arc<dyn ServiceLoaderApi> =
            Arc::new(ServiceLoader::new(config.loader.clone()));
        let pressure: Arc<dyn PressureSource> = Arc::new(pressure_files());
        let byggvir: Arc<dyn ResourceManagerApi> = Arc::new(ResourceManager::with_ports(
            config.resources.clone(),
            ResourceManagerPorts {
                probe: Box::new(HostProbe::with(config.resources.backend)),
                pressure: Arc::clone(&pressure),
                limit_handler: Some(ports.limits),
                battery_handler: Some(ports.battery),
                battery: Arc::new(power_supply()),
                ..ResourceManagerPorts::default()
            },
        ));
        let roskva = HealthMonitor::with_ports(
            config.health.clone(),
            MonitorPorts {
                restart: Some(ports.restart),
                liveness: Some(Arc::new(LoaderLiveness(Arc::clone(&thjalfi)))),
                commands: Some(Arc::new(LoaderCommands(Arc::clone(&thjalfi)))),
                starvation: Some(Arc::new(Machine(pressure))),
                pace: Some(Arc::new(BatteryPace(Arc::clone(&byggvir)))),
                ..MonitorPorts::default()
            },
        );
        Self {
            thjalfi,
            byggvir,
            roskva: Arc::new(roskva),
            skirnir: Arc::new(ServiceRegistry::new()),
        }
    }
}

/// The machine's batteries, or those in the folder that `GLADSHEIM_POWER_SUPPLY` names: for tests.
fn power_supply() -> PowerSupplyClass {
    std::env::var_os("GLADSHEIM_POWER_SUPPLY")
        .map_or_else(PowerSupplyClass::default, PowerSupplyClass::at)
}

/// The machine's pressure, or that in the folder that `GLADSHEIM_PRESSURE` names: for tests.
fn pressure_files() -> PressureFiles {
    std::env::var_os("GLADSHEIM_PRESSURE").map_or_else(PressureFiles::default, PressureFiles::at)
}

impl fmt::Debug for Servants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Servants").finish_non_exhaustive()
    }
}
