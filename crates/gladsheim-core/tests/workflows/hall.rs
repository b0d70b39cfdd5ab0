//! A hall over four mocks that write down, in one list, what they were asked.

use std::{
    collections::HashMap,
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use byggvir::mock::MockResourceManagerApi;
use gladsheim_core::{
    Dependency, DependencyCondition, Gladsheim, GladsheimConfig, HallPorts, Servants,
    ServiceDefinition,
};
use roskva::{
    HealthMonitorError, HealthStatus, RestartDecision, ServiceHealth, mock::MockHealthMonitorApi,
};
use skirnir::ServiceRegistry;
use thjalfi::{
    ProcessExit, ServiceLoaderError,
    mock::{FakeProcess, FakeProcessControl, MockServiceLoaderApi},
};
use tokio::sync::broadcast;

/// What a test decides about the mocks' answers, and what they were asked.
#[derive(Default)]
pub(crate) struct Script {
    /// All calls in order, for example `thjalfi.launch thor`.
    pub calls: Mutex<Vec<String>>,
    /// Controls of the processes launched so far, by service, the last one last.
    pub processes: Mutex<HashMap<String, Vec<FakeProcessControl>>>,
    /// Services whose launch fails, with the error's text.
    pub refuse: Mutex<HashMap<String, String>>,
    /// Services that stay alive when they are asked to stop, until they are killed.
    pub stubborn: Mutex<Vec<String>>,
    /// What the restart policy says, by service; `Never` where nothing is said.
    pub decisions: Mutex<HashMap<String, RestartDecision>>,
    /// What the health check says, by service; healthy where nothing is said.
    pub health: Mutex<HashMap<String, HealthStatus>>,
    /// What the servants got to reach the hall.
    ports: Mutex<Option<HallPorts>>,
}

impl Script {
    fn note(&self, call: &str, name: &str) {
        self.calls.lock().unwrap().push(format!("{call} {name}"));
    }

    /// The calls so far that begin with one of `of`.
    pub(crate) fn calls(&self, of: &[&str]) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        calls
            .iter()
            .filter(|call| of.iter().any(|of| call.starts_with(of)))
            .cloned()
            .collect()
    }

    /// Ends the last process of a service with an exit code.
    pub(crate) fn exit(&self, name: &str, code: i32) {
        self.end(name, ExitStatus::from_raw(code << 8), false, 0);
    }

    /// Ends the last process of a service, after the kernel has killed some of its tree for want of memory.
    pub(crate) fn out_of_memory(&self, name: &str, status: ExitStatus, oom_kills: u64) {
        self.end(name, status, false, oom_kills);
    }

    fn end(&self, name: &str, status: ExitStatus, killed: bool, oom_kills: u64) {
        let processes = self.processes.lock().unwrap();
        let control = processes[name].last().unwrap();
        control.exit(ProcessExit {
            status: Some(status),
            at: SystemTime::now(),
            killed,
            leaked: Vec::new(),
            oom_kills,
        });
    }

    /// The last process of a service says that it is ready.
    pub(crate) fn ready(&self, name: &str) {
        self.processes.lock().unwrap()[name].last().unwrap().ready();
    }

    /// The restart policy's delay for a service has passed.
    pub(crate) async fn next_attempt(&self, name: &str) {
        let ports = self.ports.lock().unwrap().clone().unwrap();
        ports.restart.restart(name, 1).await.unwrap();
    }

    /// From here on the policy decides so about a service.
    pub(crate) fn decides(&self, name: &str, decision: RestartDecision) {
        self.decisions.lock().unwrap().insert(name.into(), decision);
    }

    /// From here on a service cannot be launched.
    pub(crate) fn refuses(&self, name: &str) {
        let text = "no such file".to_owned();
        self.refuse.lock().unwrap().insert(name.into(), text);
    }

    pub(crate) fn launches(&self, name: &str) -> usize {
        self.processes.lock().unwrap().get(name).map_or(0, Vec::len)
    }
}

/// A service that depends on others, each to be started.
pub(crate) fn service(name: &str, depends_on: &[&str]) -> ServiceDefinition {
    ServiceDefinition {
        depends_on: depends_on
            .iter()
            .map(|name| Dependency {
                service_name: (*name).to_owned(),
                condition: DependencyCondition::Started,
                required: true,
            })
            .collect(),
        ..ServiceDefinition::new(name, "/bin/true")
    }
}

/// An open hall over mocks (the registry is the real one: it checks every transition).
pub(crate) async fn open(services: Vec<ServiceDefinition>) -> (Gladsheim, Arc<Script>) {
    let script = Arc::new(Script::default());
    let servants = Servants {
        thjalfi: Arc::new(loader(&script)),
        byggvir: Arc::new(manager(&script)),
        roskva: Arc::new(monitor(&script)),
        skirnir: Arc::new(ServiceRegistry::new()),
    };
    let config = GladsheimConfig {
        services,
        ..GladsheimConfig::default()
    };
    let hall = Gladsheim::with_servants(config, |ports| {
        *script.ports.lock().unwrap() = Some(ports);
        servants
    });
    hall.start().await.expect("opens");
    script.calls.lock().unwrap().clear();
    (hall, script)
}

fn loader(script: &Arc<Script>) -> MockServiceLoaderApi {
    let mut loader = MockServiceLoaderApi::new();
    loader.expect_close().return_const(());
    let told = Arc::clone(script);
    loader.expect_launch_service().returning(move |name, _| {
        told.note("thjalfi.launch", name);
        if let Some(text) = told.refuse.lock().unwrap().get(name) {
            return Err(ServiceLoaderError::SpawnFailed(text.clone()));
        }
        let mut processes = told.processes.lock().unwrap();
        let runs = processes.entry(name.to_owned()).or_default();
        let (process, control) = FakeProcess::new(name, 100 + runs.len() as u32);
        runs.push(control);
        Ok(process)
    });
    let told = Arc::clone(script);
    loader.expect_stop_service().returning(move |name, _| {
        told.note("thjalfi.stop", name);
        if told
            .stubborn
            .lock()
            .unwrap()
            .iter()
            .any(|stubborn| stubborn == name)
        {
            return Err(ServiceLoaderError::ShutdownTimeout(name.to_owned()));
        }
        told.end(name, ExitStatus::from_raw(15), false, 0);
        Ok(())
    });
    let told = Arc::clone(script);
    loader.expect_force_kill_service().returning(move |name| {
        told.note("thjalfi.kill", name);
        told.end(name, ExitStatus::from_raw(9), true, 0);
        Ok(())
    });
    let told = Arc::clone(script);
    loader.expect_set_service_paths().returning(move |paths| {
        let mut names: Vec<_> = paths.into_keys().collect();
        names.sort();
        told.note("thjalfi.paths", &names.join(" "));
    });
    loader
        .expect_subscribe()
        .returning(|| broadcast::channel(1).1);
    loader.expect_containment().returning(|| "session");
    loader
}

fn manager(script: &Arc<Script>) -> MockResourceManagerApi {
    let mut manager = MockResourceManagerApi::new();
    manager.expect_start_monitoring().returning(|| ());
    let told = Arc::clone(script);
    manager
        .expect_stop_monitoring()
        .returning(move || told.note("byggvir.stop_monitoring", ""));
    let told = Arc::clone(script);
    manager
        .expect_set_resource_limits()
        .returning(move |name, _| {
            told.note("byggvir.limits", name);
            Ok(())
        });
    let told = Arc::clone(script);
    manager
        .expect_untrack_service()
        .returning(move |name| told.note("byggvir.untrack", name));
    manager.expect_set_limit_policy().returning(|_, _| ());
    let told = Arc::clone(script);
    manager
        .expect_track_service()
        .returning(move |name, _| told.note("byggvir.track", name));
    let told = Arc::clone(script);
    manager
        .expect_run_ended()
        .returning(move |name| told.note("byggvir.run_ended", name));
    manager.expect_limits_enforced_by().returning(|_| "none");
    manager.expect_measured_by().returning(|_| "none");
    manager
        .expect_subscribe()
        .returning(|| broadcast::channel(1).1);
    manager
}

fn monitor(script: &Arc<Script>) -> MockHealthMonitorApi {
    let mut monitor = MockHealthMonitorApi::new();
    let told = Arc::clone(script);
    monitor
        .expect_start_monitoring_with()
        .returning(move |name, _| {
            told.note("roskva.start", name);
            Ok(())
        });
    let told = Arc::clone(script);
    monitor
        .expect_update_monitoring()
        .returning(move |name, _| {
            told.note("roskva.update", name);
            Ok(())
        });
    let told = Arc::clone(script);
    monitor
        .expect_stop_monitoring()
        .returning(move |name| told.note("roskva.stop", name));
    let told = Arc::clone(script);
    monitor
        .expect_suspend_checks()
        .returning(move |name| told.note("roskva.suspend", name));
    monitor.expect_is_ready().returning(|_| None);
    monitor.expect_reset_attempts().returning(|_| ());
    let told = Arc::clone(script);
    monitor
        .expect_shutdown()
        .returning(move || told.note("roskva.shutdown", ""));
    let told = Arc::clone(script);
    monitor.expect_report_exit().returning(move |name, report| {
        told.note("roskva.report_exit", &format!("{name} {}", report.cause));
        let decisions = told.decisions.lock().unwrap();
        decisions
            .get(name)
            .copied()
            .unwrap_or(RestartDecision::Never)
    });
    let told = Arc::clone(script);
    monitor.expect_get_health().returning(move |name| {
        let health = told.health.lock().unwrap();
        let status = health.get(name).copied().unwrap_or(HealthStatus::Healthy);
        Ok(ServiceHealth {
            service_name: name.to_owned(),
            status,
            last_check: SystemTime::now(),
            ..ServiceHealth::default()
        })
    });
    monitor
        .expect_subscribe_health_updates()
        .returning(|name| Err(HealthMonitorError::ServiceNotFound(name.to_owned())));
    monitor
        .expect_subscribe()
        .returning(|| broadcast::channel(1).1);
    monitor
}

/// A restart after `seconds`, as the policy would decide it.
pub(crate) fn restart(attempt: u32, seconds: u64) -> RestartDecision {
    let delay = Duration::from_secs(seconds);
    RestartDecision::Restart {
        attempt,
        delay,
        at: SystemTime::now() + delay,
    }
}

/// The names of all events so far with their services.
pub(crate) fn events(hall: &Gladsheim) -> Vec<String> {
    let mut events = hall.events_since(0);
    std::iter::from_fn(|| events.try_next())
        .map(|event| match event.kind.service_name() {
            Some(name) => format!("{} {name}", event.kind.name()),
            None => event.kind.name().to_owned(),
        })
        .collect()
}
