//! Fakes of everything around the monitor.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use roskva::{
    BoxError, Cause, CheckOptions, EndRequest, ExitReport, HealthCheckStrategy, HealthEvent,
    HealthMonitor, HealthMonitorConfig, HealthProbe, HealthStatus, MachinePressure, MonitorOptions,
    MonitorPorts, Pace, ProbeOutcome, ProcessLiveness, RestartDecision, RestartHandler, Starvation,
};
use tokio::{
    sync::{broadcast, mpsc},
    time::{Instant, timeout},
};

pub(crate) const INTERVAL: Duration = Duration::from_secs(5);
/// Longest time between two checks, jitter included.
pub(crate) const ROUND: Duration = Duration::from_millis(5_260);

/// What the fake probe does next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Act {
    Pass,
    Fail,
    Hang,
    Panic,
}

/// Answers by a script for each address; the last act repeats.
#[derive(Default)]
pub(crate) struct FakeProbe {
    scripts: Mutex<Vec<(String, VecDeque<Act>)>>,
    calls: Mutex<Vec<(String, Instant)>>,
    pub(crate) under_way: AtomicU32,
    pub(crate) most_under_way: AtomicU32,
}

impl FakeProbe {
    pub(crate) fn script(&self, address: &str, acts: &[Act]) {
        let mut scripts = self.scripts.lock().expect("lock");
        scripts.retain(|(name, _)| name != address);
        scripts.push((address.to_owned(), acts.iter().copied().collect()));
    }

    pub(crate) fn calls(&self, address: &str) -> Vec<Instant> {
        let calls = self.calls.lock().expect("lock");
        let of_address = calls.iter().filter(|(name, _)| name == address);
        of_address.map(|(_, at)| *at).collect()
    }

    /// Waits until a check is under way.
    pub(crate) async fn is_under_way(&self) {
        while self.under_way.load(SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn next(&self, address: &str) -> Act {
        let mut scripts = self.scripts.lock().expect("lock");
        let script = scripts.iter_mut().find(|(name, _)| name == address);
        match script {
            Some((_, acts)) if acts.len() > 1 => acts.pop_front().expect("more than one"),
            Some((_, acts)) => acts[0],
            None => Act::Pass,
        }
    }
}

struct UnderWay<'a>(&'a AtomicU32);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[async_trait]
impl HealthProbe for FakeProbe {
    async fn check(&self, _service: &str, strategy: &HealthCheckStrategy) -> ProbeOutcome {
        let HealthCheckStrategy::Tcp { address, .. } = strategy else {
            panic!("unexpected {strategy:?}");
        };
        let count = self.under_way.fetch_add(1, SeqCst) + 1;
        let _under_way = UnderWay(&self.under_way);
        self.most_under_way.fetch_max(count, SeqCst);
        let call = (address.clone(), Instant::now());
        self.calls.lock().expect("lock").push(call);
        match self.next(address) {
            Act::Pass => ProbeOutcome::Healthy("fine".to_owned()),
            Act::Fail => ProbeOutcome::Unhealthy("not fine".to_owned()),
            Act::Hang => std::future::pending().await,
            Act::Panic => panic!("a bad checker"),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Call {
    Restart(String, u32),
    EndRun(String, EndRequest),
}

pub(crate) struct FakeOwner {
    calls: mpsc::UnboundedSender<(Call, Instant)>,
    pub(crate) refuses: AtomicBool,
    pub(crate) hangs: AtomicBool,
}

impl FakeOwner {
    async fn told(&self, call: Call) -> Result<(), BoxError> {
        self.calls
            .send((call, Instant::now()))
            .expect("the test listens");
        if self.hangs.load(SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.refuses.load(SeqCst) {
            return Err("refused".into());
        }
        Ok(())
    }
}

#[async_trait]
impl RestartHandler for FakeOwner {
    async fn restart(&self, service_name: &str, attempt: u32) -> Result<(), BoxError> {
        self.told(Call::Restart(service_name.to_owned(), attempt))
            .await
    }

    async fn end_run(&self, name: &str, request: EndRequest) -> Result<(), BoxError> {
        self.told(Call::EndRun(name.to_owned(), request)).await
    }
}

pub(crate) struct Alive(pub(crate) AtomicBool);

impl ProcessLiveness for Alive {
    fn is_alive(&self, _service_name: &str) -> bool {
        self.0.load(SeqCst)
    }
}

/// A machine that starves or does not.
#[derive(Default)]
pub(crate) struct Machine {
    pub(crate) starves: AtomicBool,
    /// By how much intervals are stretched; 0 is as they are.
    pub(crate) stretch: AtomicU32,
}

impl Pace for Machine {
    fn stretch(&self) -> u32 {
        self.stretch.load(SeqCst)
    }
}

impl Starvation for Machine {
    fn pressure(&self) -> MachinePressure {
        MachinePressure {
            memory: if self.starves.load(SeqCst) { 90.0 } else { 0.0 },
            ..MachinePressure::default()
        }
    }
}

/// A monitor with everything around it faked.
pub(crate) struct Hall {
    pub(crate) monitor: HealthMonitor,
    pub(crate) probe: Arc<FakeProbe>,
    pub(crate) owner: Arc<FakeOwner>,
    pub(crate) calls: mpsc::UnboundedReceiver<(Call, Instant)>,
    pub(crate) alive: Arc<Alive>,
    pub(crate) machine: Arc<Machine>,
    pub(crate) events: broadcast::Receiver<HealthEvent>,
}

impl Hall {
    pub(crate) fn new() -> Self {
        Self::with(HealthMonitorConfig::default())
    }

    pub(crate) fn with(config: HealthMonitorConfig) -> Self {
        let (sender, calls) = mpsc::unbounded_channel();
        let owner = Arc::new(FakeOwner {
            calls: sender,
            refuses: AtomicBool::new(false),
            hangs: AtomicBool::new(false),
        });
        let probe = Arc::new(FakeProbe::default());
        let alive = Arc::new(Alive(AtomicBool::new(true)));
        let machine = Arc::new(Machine::default());
        let ports = MonitorPorts {
            commands: None,
            restart: Some(owner.clone()),
            liveness: Some(alive.clone()),
            probe: Some(probe.clone()),
            starvation: Some(machine.clone()),
            pace: Some(machine.clone()),
        };
        let monitor = HealthMonitor::with_ports(config, ports);
        let events = monitor.subscribe();
        Self {
            monitor,
            probe,
            owner,
            calls,
            alive,
            machine,
            events,
        }
    }

    pub(crate) async fn start(&self, name: &str, options: MonitorOptions) {
        let started = self.monitor.start_monitoring_with(name, options).await;
        started.expect("is monitored");
    }

    /// The next call to the owner; in paused time, an hour without one is "never".
    pub(crate) async fn call(&mut self) -> Option<Call> {
        let call = timeout(Duration::from_secs(3600), self.calls.recv()).await;
        call.ok().flatten().map(|(call, _)| call)
    }

    /// Waits for the end of a check and returns the status after it.
    pub(crate) async fn checked(&mut self) -> HealthStatus {
        loop {
            if let HealthEvent::Checked(health) = self.event().await {
                return health.status;
            }
        }
    }

    pub(crate) async fn checked_times(&mut self, count: usize) -> HealthStatus {
        let mut status = HealthStatus::Unknown;
        for _ in 0..count {
            status = self.checked().await;
        }
        status
    }

    pub(crate) async fn event(&mut self) -> HealthEvent {
        let event = timeout(Duration::from_secs(3600), self.events.recv()).await;
        event.expect("an event within an hour").expect("no gap")
    }

    pub(crate) fn status(&self, name: &str) -> HealthStatus {
        self.monitor.get_health(name).expect("is monitored").status
    }

    pub(crate) fn crash(&self, name: &str) -> RestartDecision {
        self.monitor.report_exit(name, exit(Cause::Exit, Some(1)))
    }
}

pub(crate) fn tcp(address: &str) -> HealthCheckStrategy {
    HealthCheckStrategy::Tcp {
        address: format!("{address}:1"),
        timeout: Duration::from_secs(1),
    }
}

pub(crate) fn check(address: &str) -> CheckOptions {
    CheckOptions {
        strategy: tcp(address),
        ..CheckOptions::default()
    }
}

pub(crate) fn liveness(address: &str) -> MonitorOptions {
    MonitorOptions {
        liveness: check(address),
        ..MonitorOptions::default()
    }
}

pub(crate) fn exit(cause: Cause, exit_code: Option<i32>) -> ExitReport {
    ExitReport {
        exit_code,
        signal: None,
        cause,
        uptime: Duration::from_secs(1),
    }
}

pub(crate) fn alive_tasks() -> usize {
    tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks()
}

pub(crate) fn restart_of(decision: RestartDecision) -> (u32, Duration) {
    match decision {
        RestartDecision::Restart { attempt, delay, .. } => (attempt, delay),
        other => panic!("{other:?}"),
    }
}
