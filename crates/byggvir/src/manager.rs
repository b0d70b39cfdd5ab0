//! The resource manager: the handle that everybody holds.

use std::{
    fmt, io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use gladsheim_types::{Platform, ResourceLimits, ResourceUsage};
use tokio::sync::broadcast;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{
    BatteryHandler, BatterySource, CgroupEnforcer, HostProbe, LimitEnforcer, LimitHandler,
    LimitPolicy, LimitViolation, PowerSupplyClass, ProcessTree, ResourceEvent,
    ResourceManagerConfig, ResourceManagerError, SystemProbe, SystemResourceUsage, UsageDetail,
    ViolationListener, limits, lock,
    lookout::Lookout,
    meter::Meter,
    pressure::{PressureFiles, PressureSource},
    probe::read_details,
    sampler::Sampler,
    table::{Run, RunEnd},
    teller::Teller,
};

/// What a manager needs from the world. The default is this host, and nobody who acts on limits.
pub struct ResourceManagerPorts {
    /// What measures.
    pub probe: Box<dyn SystemProbe>,
    /// What makes limits hold.
    pub enforcer: Arc<dyn LimitEnforcer>,
    /// What knows the battery.
    pub battery: Arc<dyn BatterySource>,
    /// Where pressure comes from.
    pub pressure: Arc<dyn PressureSource>,
    /// Who carries out a policy's action; without one, actions are only events.
    pub limit_handler: Option<Arc<dyn LimitHandler>>,
    /// Who stops services when the battery runs low; without one, that is only an event.
    pub battery_handler: Option<Arc<dyn BatteryHandler>>,
}

impl Default for ResourceManagerPorts {
    fn default() -> Self {
        Self {
            probe: Box::new(HostProbe::new()),
            enforcer: Arc::new(CgroupEnforcer),
            battery: Arc::new(PowerSupplyClass::default()),
            pressure: Arc::new(PressureFiles::default()),
            limit_handler: None,
            battery_handler: None,
        }
    }
}

impl fmt::Debug for ResourceManagerPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceManagerPorts")
            .field("probe", &self.probe)
            .finish_non_exhaustive()
    }
}

/// Measures services and watches over their limits (specification: Byggvir, `ResourceManager`).
///
/// A cheap handle: clones share one manager. Dropping the last one ends the sampling task soon after;
/// limits that the kernel holds stay in force, and handlers at work finish.
///
/// The methods block for at most as long as some reads and writes of kernel files take.
#[derive(Clone)]
pub struct ResourceManager {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: ResourceManagerConfig,
    pub(crate) meter: Meter,
    pub(crate) teller: Teller,
    pub(crate) battery: Arc<dyn BatterySource>,
    /// As of the last look.
    pub(crate) on_battery: AtomicBool,
    pub(crate) lookout: Lookout,
    enforcer: Arc<dyn LimitEnforcer>,
    /// Held while a run begins or limits are applied and stored, so that the last one stored is the one
    /// applied. Taken before the meter's locks.
    applying: Mutex<()>,
    monitor: Mutex<Option<Monitor>>,
}

struct Monitor {
    task: TaskTracker,
    /// Stops the task when it is dropped.
    stop: DropGuard,
}

impl Inner {
    pub(crate) fn minds_battery(&self) -> bool {
        self.config.battery_aware && self.config.platform == Platform::Alfheim
    }

    /// Whether there are rounds, once monitoring has started.
    pub(crate) fn samples(&self) -> bool {
        !self.config.monitoring_interval.is_zero()
    }

    /// Puts the limits in force on the service's run, if it has one.
    fn enforce(&self, name: &str) -> io::Result<()> {
        let (run, tree, limits, policy) = {
            let table = lock(&self.meter.table);
            let Some(entry) = table.get(name) else {
                return Ok(());
            };
            let Some(Run { tracked, .. }) = &entry.run else {
                return Ok(());
            };
            let limits = entry.limits(&self.meter.default_limits);
            (
                tracked.run,
                Arc::clone(&tracked.tree),
                entry.policy.binding(limits),
                entry.policy.clone(),
            )
        };
        let mut enforced = self.enforcer.apply(&tree, &limits, &policy)?;
        // What the kernel was not asked to hold, it does not hold.
        enforced.memory &= !policy.memory_advisory;
        enforced.cpu &= !policy.cpu_advisory;
        lock(&self.meter.table).set_enforced(name, run, enforced);
        Ok(())
    }

    fn enforce_or_warn(&self, name: &str) {
        if let Err(error) = self.enforce(name) {
            tracing::warn!(service = name, %error, "the kernel refused the limits");
        }
    }

    fn end_run(&self, name: &str) {
        let oom_kills = self.oom_kills(name);
        let now = SystemTime::now();
        let defaults = &self.meter.default_limits;
        let ended = lock(&self.meter.table).end_run(name, oom_kills, defaults, now);
        if let Some(RunEnd {
            run,
            crossings,
            pressure,
        }) = ended
        {
            self.meter.forget(run);
            lock(&self.lookout.ooms).end(run);
            self.teller.tell(crossings);
            self.teller.tell_pressure(Some(name), pressure);
        }
    }

    pub(crate) fn oom_kills(&self, name: &str) -> u64 {
        let (tree, before) = {
            let table = lock(&self.meter.table);
            let Some(entry) = table.get(name) else {
                return 0;
            };
            let Some(run) = &entry.run else {
                return entry.past_oom_kills;
            };
            (Arc::clone(&run.tracked.tree), run.oom_kills_before)
        };
        self.count_oom_kills(name, &tree).saturating_sub(before)
    }

    fn count_oom_kills(&self, name: &str, tree: &ProcessTree) -> u64 {
        self.enforcer.oom_kills(tree).unwrap_or_else(|error| {
            tracing::warn!(service = name, %error, "OOM kills cannot be counted");
            0
        })
    }
}

impl ResourceManager {
    /// A manager over this host. Opens, spawns and measures nothing; needs no runtime.
    pub fn new(config: ResourceManagerConfig) -> Self {
        let ports = ResourceManagerPorts {
            probe: Box::new(HostProbe::with(config.backend)),
            ..ResourceManagerPorts::default()
        };
        Self::with_ports(config, ports)
    }

    /// A manager over other ports than this host's; the configuration's `backend` is the ports' probe then.
    pub fn with_ports(config: ResourceManagerConfig, ports: ResourceManagerPorts) -> Self {
        let in_rounds = !config.monitoring_interval.is_zero();
        Self {
            inner: Arc::new(Inner {
                meter: Meter::new(ports.probe, config.default_limits.clone(), in_rounds),
                teller: Teller::new(ports.limit_handler, ports.battery_handler),
                battery: ports.battery,
                on_battery: AtomicBool::new(false),
                lookout: Lookout::new(ports.pressure),
                enforcer: ports.enforcer,
                applying: Mutex::default(),
                monitor: Mutex::default(),
                config,
            }),
        }
    }

    /// Starts the sampling task; does nothing if it runs. With a `monitoring_interval` of zero there
    /// are no rounds: usage is measured when it is asked for, limits and pressure are not watched, and there
    /// is a task only where the battery is minded.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time enabled.
    pub async fn start_monitoring(&self) {
        let mut monitor = lock(&self.inner.monitor);
        if monitor.is_some() {
            return;
        }
        let stopped = CancellationToken::new();
        let task = TaskTracker::new();
        if self.inner.samples() || self.inner.minds_battery() {
            task.spawn(Sampler::new(&self.inner, stopped.clone()).run());
        }
        task.close();
        *monitor = Some(Monitor {
            task,
            stop: stopped.drop_guard(),
        });
    }

    /// Ends the sampling task and waits for the round under way; does nothing if none runs. Handlers
    /// at work are not waited for. Cancelled, it has stopped the task all the same.
    pub async fn stop_monitoring(&self) {
        let monitor = lock(&self.inner.monitor).take();
        if let Some(Monitor { task, stop }) = monitor {
            drop(stop);
            task.wait().await;
        }
    }

    /// Begins to measure a running service, and puts its limits on it where the kernel can. A name
    /// that is tracked already is replaced: the old run's numbers are forgotten, its limits stay.
    pub fn track_service(&self, service_name: &str, tree: ProcessTree) {
        let _applying = lock(&self.inner.applying);
        self.inner.end_run(service_name);
        let oom_kills_before = self.inner.count_oom_kills(service_name, &tree);
        let cgroup = tree.cgroup.clone();
        let run =
            lock(&self.inner.meter.table).track(service_name, Arc::new(tree), oom_kills_before);
        if let Some(cgroup) = cgroup.filter(|_| self.inner.samples()) {
            lock(&self.inner.lookout.ooms).begin(run, &cgroup);
        }
        self.inner.enforce_or_warn(service_name);
    }

    /// Ends measuring; usage, limits and policy of the name are forgotten.
    pub fn untrack_service(&self, service_name: &str) {
        self.inner.end_run(service_name);
        lock(&self.inner.meter.table).remove(service_name);
    }

    /// Ends measuring of a run that has ended; limits and policy of the name stay for the next. To be
    /// called before the run's cgroup is removed, or its OOM kills are lost.
    pub fn run_ended(&self, service_name: &str) {
        self.inner.end_run(service_name);
    }

    /// The last sample of a service; the first one is taken here if no round has been yet, with CPU 0.
    ///
    /// # Errors
    ///
    /// `MonitoringNotStarted`; `ServiceNotFound`; `SystemError` if there is no sample and none can be
    /// taken, because no process of the service is alive, say.
    pub fn get_resource_usage(
        &self,
        service_name: &str,
    ) -> Result<ResourceUsage, ResourceManagerError> {
        if lock(&self.inner.monitor).is_none() {
            return Err(ResourceManagerError::MonitoringNotStarted);
        }
        self.inner.meter.usage(service_name)
    }

    /// What is read about a running service only on request, and not kept.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`; `SystemError` if no process of it is alive.
    pub fn get_usage_detail(
        &self,
        service_name: &str,
    ) -> Result<UsageDetail, ResourceManagerError> {
        let mut details = self.get_usage_details(&[service_name.to_owned()]);
        details.remove(0)
    }

    /// As [`get_usage_detail`](Self::get_usage_detail) for several services, in their order; where they have no
    /// cgroups, the processes of the machine are listed once for all of them.
    pub fn get_usage_details(
        &self,
        service_names: &[String],
    ) -> Vec<Result<UsageDetail, ResourceManagerError>> {
        let trees: Vec<_> = {
            let table = lock(&self.inner.meter.table);
            let tree = |name: &String| {
                let run = table.get(name)?.run.as_ref()?;
                Some(Arc::clone(&run.tracked.tree))
            };
            service_names.iter().map(tree).collect()
        };
        let mut details = read_details(trees.iter().flatten().map(|tree| &**tree)).into_iter();
        let detail = |(name, tree): (&String, Option<_>)| {
            tree.and_then(|_| details.next())
                .ok_or_else(|| ResourceManagerError::ServiceNotFound(name.clone()))?
                .map_err(|error| ResourceManagerError::SystemError(error.to_string()))
        };
        service_names
            .iter()
            .zip(trees.clone())
            .map(detail)
            .collect()
    }

    /// Usage of the whole machine; zeros if it cannot be read.
    pub fn get_system_usage(&self) -> SystemResourceUsage {
        self.inner.meter.system_usage()
    }

    /// Sets the limits of a service, running or not, and enforces them at once where the kernel can.
    ///
    /// # Errors
    ///
    /// `InvalidLimits`; `SystemError` if the kernel refused them: those from before then stay, but
    /// some of the new ones may be in force already.
    pub fn set_resource_limits(
        &self,
        service_name: &str,
        limits: ResourceLimits,
    ) -> Result<(), ResourceManagerError> {
        limits::validate(&limits)?;
        let _applying = lock(&self.inner.applying);
        let before = {
            let mut table = lock(&self.inner.meter.table);
            let entry = table.entry(service_name);
            let before = (entry.limits.clone(), entry.policy.clone());
            entry.set_limits(limits, &self.inner.meter.default_limits);
            before
        };
        self.inner.enforce(service_name).map_err(|error| {
            let mut table = lock(&self.inner.meter.table);
            let entry = table.entry(service_name);
            (entry.limits, entry.policy) = before;
            ResourceManagerError::SystemError(error.to_string())
        })
    }

    /// Sets what is done about the limits of a service, at once.
    pub fn set_limit_policy(&self, service_name: &str, policy: LimitPolicy) {
        let _applying = lock(&self.inner.applying);
        lock(&self.inner.meter.table).entry(service_name).policy = policy;
        self.inner.enforce_or_warn(service_name);
    }

    /// Limits of a service; the configured defaults if it has none of its own.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound` if the name is neither tracked nor has limits or a policy.
    pub fn get_resource_limits(
        &self,
        service_name: &str,
    ) -> Result<ResourceLimits, ResourceManagerError> {
        lock(&self.inner.meter.table)
            .get(service_name)
            .map(|entry| entry.limits(&self.inner.meter.default_limits).clone())
            .ok_or_else(|| ResourceManagerError::ServiceNotFound(service_name.to_owned()))
    }

    /// Compares the last sample with the limits: exceeded beats warning, memory beats CPU. Looks at
    /// this one sample only; the events and listeners are those that wait for more than a spike.
    ///
    /// # Errors
    ///
    /// As [`get_resource_usage`](Self::get_resource_usage).
    pub fn check_limits(
        &self,
        service_name: &str,
    ) -> Result<Option<LimitViolation>, ResourceManagerError> {
        let current_usage = self.get_resource_usage(service_name)?;
        let limits = self.get_resource_limits(service_name)?;
        Ok(
            limits::judge(&current_usage, &limits).map(|violation_type| LimitViolation {
                service_name: service_name.to_owned(),
                violation_type,
                timestamp: current_usage.measured_at,
                current_usage,
                limits,
            }),
        )
    }

    /// Adds a callback for violations, see [`ViolationListener`]: called once when a limit or a
    /// warning threshold is crossed upwards, not again until usage was well below it.
    pub fn on_limit_violation<F>(&self, callback: F)
    where
        F: Fn(LimitViolation) + Send + Sync + 'static,
    {
        self.add_violation_listener(Arc::new(callback));
    }

    /// The same as [`on_limit_violation`](Self::on_limit_violation), for a shared callback.
    pub fn add_violation_listener(&self, listener: ViolationListener) {
        self.inner.teller.add_listener(listener);
    }

    /// Who enforces the limits of a running service, advice left out: `kernel` if it holds all that are set,
    /// `sampling` if a round has to notice one of them, `none` if none is set or nobody looks.
    pub fn limits_enforced_by(&self, service_name: &str) -> &'static str {
        let table = lock(&self.inner.meter.table);
        let Some(entry) = table.get(service_name) else {
            return "none";
        };
        let Some(run) = &entry.run else { return "none" };
        let limits = entry.limits(&self.inner.meter.default_limits);
        let binding = entry.policy.binding(limits);
        // Advice counts only where there is nothing else.
        let set =
            |limits: &ResourceLimits| (limits.max_memory_bytes > 0, limits.max_cpu_percent > 0.0);
        let (memory, cpu) = match set(&binding) {
            (false, false) => set(limits),
            binding => binding,
        };
        if !memory && !cpu {
            "none"
        } else if (!memory || run.enforced.memory) && (!cpu || run.enforced.cpu) {
            "kernel"
        } else if self.inner.samples() {
            "sampling"
        } else {
            "none"
        }
    }

    /// The backend that took the last sample of a service, `cgroup`, `procfs` or `sysinfo`; `none`
    /// without a sample.
    pub fn measured_by(&self, service_name: &str) -> &'static str {
        let table = lock(&self.inner.meter.table);
        let run = table.get(service_name).and_then(|entry| entry.run.as_ref());
        let measured = run.and_then(|run| run.measured.as_ref());
        measured.map_or("none", |(sample, _)| sample.backend)
    }

    /// How many processes of a service the kernel has killed for want of memory, in its current run
    /// or, if that has ended, the last one.
    pub fn oom_kills(&self, service_name: &str) -> u64 {
        self.inner.oom_kills(service_name)
    }

    /// Whether the machine lives on its battery, as of the last look. Never where the battery is not
    /// minded, and not before monitoring has started.
    pub fn on_battery(&self) -> bool {
        self.inner.on_battery.load(Ordering::Relaxed)
    }

    /// Facts for observers. A slow one sees a gap; `Sampled` is made only while somebody listens.
    pub fn subscribe(&self) -> broadcast::Receiver<ResourceEvent> {
        self.inner.teller.subscribe()
    }
}

impl fmt::Debug for ResourceManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceManager")
            .field("config", &self.inner.config)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "manager_test.rs"]
mod tests;
