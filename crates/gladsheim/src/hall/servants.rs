//! `[loader]`, `[resources]` and `[health]`: what the servants are told for all services.

use gladsheim_core::{
    byggvir::{Backend, Platform, ResourceManagerConfig},
    roskva::HealthMonitorConfig,
    thjalfi::{Containment, ServiceLoaderConfig},
};

use super::{
    limits::{Limits, Pressure},
    reader::Field,
};

pub(super) fn containment(field: Field<'_>) -> Containment {
    field
        .one_of(&[
            ("auto", Containment::Auto),
            ("cgroup", Containment::Cgroup),
            ("session", Containment::Session),
        ])
        .or_default()
}

pub(super) fn platform(field: Field<'_>) -> Platform {
    field
        .one_of(&Platform::ALL.map(|platform| (platform.as_str(), platform)))
        .or_default()
}

/// `[loader]`; containment and folders are the caller's.
pub(super) fn loader(field: Field<'_>) -> ServiceLoaderConfig {
    let mut config = ServiceLoaderConfig::default();
    if let Some(mut table) = field.table("[loader]") {
        config.startup_timeout = table
            .field("startup_timeout")
            .duration()
            .positive()
            .or(config.startup_timeout);
        config.shutdown_timeout = table
            .field("shutdown_timeout")
            .duration()
            .or(config.shutdown_timeout);
        config.force_kill_after_timeout = table
            .field("force_kill_after_timeout")
            .boolean()
            .or(config.force_kill_after_timeout);
    }
    config
}

/// `[resources]`, and the default limits in it.
pub(super) fn resources(
    field: Field<'_>,
    platform: Platform,
    cpus: usize,
) -> (ResourceManagerConfig, Limits) {
    let mut config = ResourceManagerConfig {
        platform,
        ..ResourceManagerConfig::default()
    };
    let mut limits = Limits::default();
    if let Some(mut table) = field.table("[resources]") {
        config.monitoring_interval = table
            .field("monitoring_interval")
            .duration()
            .or(config.monitoring_interval);
        config.battery_aware = table
            .field("battery_aware")
            .boolean()
            .warn(|on| {
                let idle = *on && platform != Platform::Alfheim;
                idle.then(|| "has an effect on the platform alfheim only".to_owned())
            })
            .or(config.battery_aware);
        config.stop_services_below_battery_percent = table
            .field("stop_services_below_battery_percent")
            .integer(0..=100)
            .or(config.stop_services_below_battery_percent);
        config.backend = table
            .field("backend")
            .one_of(&[
                ("auto", Backend::Auto),
                ("cgroup", Backend::Cgroup),
                ("procfs", Backend::Procfs),
                ("sysinfo", Backend::Sysinfo),
            ])
            .or(config.backend);
        let field = table.field("pressure");
        config.pressure = Pressure::read(field, "[resources.pressure]").resolve();
        let field = table.field("default_limits");
        limits = Limits::read(field, "[resources.default_limits]", cpus);
    }
    // The platform's limits stay out of it: each service's definition has them, where it may only warn.
    config.default_limits = limits.clone().stated();
    (config, limits)
}

/// `[health]`.
pub(super) fn health(field: Field<'_>) -> HealthMonitorConfig {
    let mut config = HealthMonitorConfig::default();
    if let Some(mut table) = field.table("[health]") {
        config.check_interval = table
            .field("check_interval")
            .duration()
            .positive()
            .or(config.check_interval);
        config.auto_restart = table
            .field("auto_restart")
            .boolean()
            .or(config.auto_restart);
        config.max_restart_attempts = table
            .field("max_restart_attempts")
            .integer(0..=u32::MAX)
            .or(config.max_restart_attempts);
        config.restart_backoff = table
            .field("restart_backoff")
            .duration()
            .or(config.restart_backoff);
        config.health_check_timeout = table
            .field("health_check_timeout")
            .duration()
            .positive()
            .or(config.health_check_timeout);
        config.consecutive_failures_threshold = table
            .field("consecutive_failures_threshold")
            .integer(1..=u32::MAX)
            .or(config.consecutive_failures_threshold);
    }
    config
}
