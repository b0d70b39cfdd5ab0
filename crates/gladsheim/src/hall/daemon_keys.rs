//! What of a changed hall file only the next daemon can take on.

use gladsheim_core::{
    GladsheimConfig, byggvir::ResourceManagerConfig, roskva::HealthMonitorConfig,
    thjalfi::ServiceLoaderConfig,
};

use super::Hall;

impl Hall {
    /// The keys, apart from those of services, that a running daemon does not take on, with their values.
    ///
    /// Not `socket`, which the command line may have set: whoever changes it finds no daemon there anyhow.
    pub(crate) fn daemon_keys(&self) -> Vec<(&'static str, String)> {
        // Taken apart without `..`: whoever adds a key has to say what a change of it does.
        let Self {
            file: _,
            state_dir,
            socket: _,
            config:
                GladsheimConfig {
                    loader,
                    resources,
                    health,
                    // They are what a daemon does take on.
                    services: _,
                    // The same as the hall's own.
                    state_dir: _,
                    shutdown_deadline,
                    events_before: _,
                },
            metrics,
            on_file_change,
            listen,
            // A reload replaces it.
            access: _,
            // Each service knows its group.
            groups: _,
            warnings: _,
            positions: _,
        } = self;
        let HealthMonitorConfig {
            // Defaults of the services: they are in their definitions.
            check_interval: _,
            auto_restart: _,
            max_restart_attempts: _,
            restart_backoff: _,
            health_check_timeout: _,
            consecutive_failures_threshold: _,
            load_guard,
        } = health;
        let ServiceLoaderConfig {
            startup_timeout: _,
            shutdown_timeout: _,
            force_kill_after_timeout,
            service_paths: _,
            containment,
            cgroup_name: _,
            log_dir: _,
            keeper: _,
            kill_on_drop: _,
        } = loader;
        let ResourceManagerConfig {
            monitoring_interval,
            platform,
            default_limits: _,
            battery_aware,
            stop_services_below_battery_percent,
            backend,
            pressure,
        } = resources;
        let keys: [(&str, &dyn std::fmt::Debug); 14] = [
            ("state_dir", state_dir),
            ("shutdown_deadline", shutdown_deadline),
            ("metrics", metrics),
            ("on_file_change", on_file_change),
            ("listen", listen),
            ("load_guard", load_guard),
            ("containment", containment),
            ("loader.force_kill_after_timeout", force_kill_after_timeout),
            ("platform", platform),
            ("resources.monitoring_interval", monitoring_interval),
            ("resources.battery_aware", battery_aware),
            (
                "resources.stop_services_below_battery_percent",
                stop_services_below_battery_percent,
            ),
            ("resources.backend", backend),
            ("resources.pressure", pressure),
        ];
        keys.map(|(key, value)| (key, format!("{value:?}"))).into()
    }
}
