//! The monitor over faked ports, in paused time: schedule, verdicts, restarts, observers.
#![expect(clippy::expect_used, reason = "helpers of tests fail loudly too")]

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use roskva::{
    BoxError, Cause, CheckOptions, ExitReport, HealthCheckStrategy, HealthEvent, HealthMonitor,
    HealthMonitorConfig, HealthMonitorError, HealthProbe, HealthStatus, MonitorOptions,
    MonitorPorts, ProbeOutcome, ProcessLiveness, RestartDecision, RestartHandler, RestartMode,
    RestartPolicy,
};
use tokio::{
    sync::{broadcast, mpsc},
    time::{Instant, timeout},
};

const INTERVAL: Duration = Duration::from_secs(5);
/// Longest time between two checks, jitter included.
const ROUND: Duration = Duration::from_millis(5_260);

/// What the fake probe does next.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Act {
    Pass,
    Fail,
    Hang,
    Panic,
}

/// Answers by a script for each address; the last act repeats.
#[derive(Default)]
struct FakeProbe {
    scripts: Mutex<Vec<(String, VecDeque<Act>)>>,
    calls: Mutex<Vec<(String, Instant)>>,
    under_way: AtomicU32,
    most_under_way: AtomicU32,
}

impl FakeProbe {
    fn script(&self, address: &str, acts: &[Act]) {
        let mut scripts = self.scripts.lock().expect("lock");
        scripts.retain(|(name, _)| name != address);
        scripts.push((address.to_owned(), acts.iter().copied().collect()));
    }

    fn calls(&self, address: &str) -> Vec<Instant> {
        let calls = self.calls.lock().expect("lock");
        let of_address = calls.iter().filter(|(name, _)| name == address);
        of_address.map(|(_, at)| *at).collect()
    }

    /// Waits until a check is under way.
    async fn is_under_way(&self) {
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
enum Call {
    Restart(String, u32),
    EndRun(String, bool, String),
}

struct FakeOwner {
    calls: mpsc::UnboundedSender<(Call, Instant)>,
    refuses: AtomicBool,
    hangs: AtomicBool,
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

    async fn end_run(&self, name: &str, will_restart: bool, why: &str) -> Result<(), BoxError> {
        self.told(Call::EndRun(name.to_owned(), will_restart, why.to_owned()))
            .await
    }
}

struct Alive(AtomicBool);

impl ProcessLiveness for Alive {
    fn is_alive(&self, _service_name: &str) -> bool {
        self.0.load(SeqCst)
    }
}

/// A monitor with everything around it faked.
struct Hall {
    monitor: HealthMonitor,
    probe: Arc<FakeProbe>,
    owner: Arc<FakeOwner>,
    calls: mpsc::UnboundedReceiver<(Call, Instant)>,
    alive: Arc<Alive>,
    events: broadcast::Receiver<HealthEvent>,
}

impl Hall {
    fn new() -> Self {
        let (sender, calls) = mpsc::unbounded_channel();
        let owner = Arc::new(FakeOwner {
            calls: sender,
            refuses: AtomicBool::new(false),
            hangs: AtomicBool::new(false),
        });
        let probe = Arc::new(FakeProbe::default());
        let alive = Arc::new(Alive(AtomicBool::new(true)));
        let ports = MonitorPorts {
            restart: Some(owner.clone()),
            liveness: Some(alive.clone()),
            probe: Some(probe.clone()),
        };
        let monitor = HealthMonitor::with_ports(HealthMonitorConfig::default(), ports);
        let events = monitor.subscribe();
        Self {
            monitor,
            probe,
            owner,
            calls,
            alive,
            events,
        }
    }

    async fn start(&self, name: &str, options: MonitorOptions) {
        let started = self.monitor.start_monitoring_with(name, options).await;
        started.expect("is monitored");
    }

    /// The next call to the owner; in paused time, an hour without one is "never".
    async fn call(&mut self) -> Option<Call> {
        let call = timeout(Duration::from_secs(3600), self.calls.recv()).await;
        call.ok().flatten().map(|(call, _)| call)
    }

    /// Waits for the end of a check and returns the status after it.
    async fn checked(&mut self) -> HealthStatus {
        loop {
            if let HealthEvent::Checked(health) = self.event().await {
                return health.status;
            }
        }
    }

    async fn checked_times(&mut self, count: usize) -> HealthStatus {
        let mut status = HealthStatus::Unknown;
        for _ in 0..count {
            status = self.checked().await;
        }
        status
    }

    async fn event(&mut self) -> HealthEvent {
        let event = timeout(Duration::from_secs(3600), self.events.recv()).await;
        event.expect("an event within an hour").expect("no gap")
    }

    fn status(&self, name: &str) -> HealthStatus {
        self.monitor.get_health(name).expect("is monitored").status
    }

    fn crash(&self, name: &str) -> RestartDecision {
        self.monitor.report_exit(name, exit(Cause::Exit, Some(1)))
    }
}

fn tcp(address: &str) -> HealthCheckStrategy {
    HealthCheckStrategy::Tcp {
        address: format!("{address}:1"),
        timeout: Duration::from_secs(1),
    }
}

fn check(address: &str) -> CheckOptions {
    CheckOptions {
        strategy: tcp(address),
        ..CheckOptions::default()
    }
}

fn liveness(address: &str) -> MonitorOptions {
    MonitorOptions {
        liveness: check(address),
        ..MonitorOptions::default()
    }
}

fn exit(cause: Cause, exit_code: Option<i32>) -> ExitReport {
    ExitReport {
        exit_code,
        signal: None,
        cause,
        uptime: Duration::from_secs(1),
    }
}

fn alive_tasks() -> usize {
    tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks()
}

fn restart_of(decision: RestartDecision) -> (u32, Duration) {
    match decision {
        RestartDecision::Restart { attempt, delay, .. } => (attempt, delay),
        other => panic!("{other:?}"),
    }
}

// === without a runtime, and by mistake ===

#[test]
fn monitor_can_be_made_and_asked_outside_a_runtime() {
    let monitor = HealthMonitor::new(HealthMonitorConfig::default());
    let unknown = HealthMonitorError::ServiceNotFound("thor".to_owned());
    assert_eq!(monitor.get_health("thor"), Err(unknown.clone()));
    assert_eq!(
        monitor.subscribe_health_updates("thor").err(),
        Some(unknown.clone())
    );
    assert_eq!(monitor.set_maintenance("thor", true), Err(unknown));
    assert_eq!(monitor.is_ready("thor"), None);
    let decision = monitor.report_exit("thor", exit(Cause::Exit, Some(1)));
    assert_eq!(decision, RestartDecision::Success);
    monitor.suspend_checks("thor");
    monitor.reset_attempts("thor");
}

#[tokio::test(start_paused = true)]
async fn senseless_options_are_refused_with_a_reason() {
    let hall = Hall::new();
    let with = |change: fn(&mut CheckOptions)| {
        let mut options = liveness("a");
        change(&mut options.liveness);
        options
    };
    for (options, reason) in [
        (with(|c| c.interval = Duration::ZERO), "interval"),
        (with(|c| c.failure_threshold = 0), "threshold"),
        (with(|c| c.success_threshold = 0), "threshold"),
        (
            with(|c| {
                c.strategy = HealthCheckStrategy::Http {
                    url: "https://a/".into(),
                    timeout: INTERVAL,
                }
            }),
            "https",
        ),
        (
            with(|c| {
                c.strategy = HealthCheckStrategy::Exec {
                    command: vec![],
                    timeout: INTERVAL,
                }
            }),
            "command",
        ),
    ] {
        let error = hall.monitor.start_monitoring_with("thor", options).await;
        match error {
            Err(HealthMonitorError::InvalidStrategy(text)) => {
                assert!(text.contains(reason), "{text}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(hall.monitor.get_health("thor").is_err());
}

#[tokio::test(start_paused = true)]
async fn one_run_is_monitored_once() {
    let hall = Hall::new();
    hall.start("thor", liveness("a")).await;
    let again = hall.monitor.start_monitoring("thor", tcp("a")).await;
    assert_eq!(
        again,
        Err(HealthMonitorError::AlreadyMonitoring("thor".to_owned()))
    );
    hall.monitor.suspend_checks("thor");
    hall.start("thor", liveness("a")).await;
    hall.crash("thor");
    hall.start("thor", liveness("a")).await;
}

#[tokio::test(start_paused = true)]
async fn timeout_of_zero_is_the_configured_one() {
    let mut hall = Hall::new();
    hall.probe.script("a:1", &[Act::Hang]);
    let address = "a:1".to_owned();
    let strategy = HealthCheckStrategy::Tcp {
        address,
        timeout: Duration::ZERO,
    };
    hall.monitor
        .start_monitoring("thor", strategy)
        .await
        .expect("starts");
    hall.checked().await;
    let health = hall.monitor.get_health("thor").expect("health");
    assert_eq!(
        health.check_strategy.timeout(),
        Some(Duration::from_secs(5))
    );
    assert!(
        health.message.contains("no answer within 5s"),
        "{}",
        health.message
    );
}

// === schedule ===

#[tokio::test(start_paused = true)]
async fn first_check_comes_promptly_and_then_by_the_interval() {
    let mut hall = Hall::new();
    let begin = Instant::now();
    hall.start("thor", liveness("a")).await;
    hall.checked_times(50).await;
    let calls = hall.probe.calls("a:1");
    assert!(calls[0] - begin <= Duration::from_millis(101));
    for pair in calls.windows(2) {
        let gap = pair[1] - pair[0];
        assert!(gap >= INTERVAL.mul_f64(0.949) && gap <= ROUND, "{gap:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn next_check_is_true_to_the_schedule() {
    let mut hall = Hall::new();
    hall.start("thor", liveness("a")).await;
    for _ in 0..10 {
        hall.checked().await;
        let health = hall.monitor.get_health("thor").expect("health");
        let told = health
            .next_check
            .duration_since(SystemTime::now())
            .expect("lies ahead");
        let asked = Instant::now();
        hall.checked().await;
        let found = *hall.probe.calls("a:1").last().expect("was called") - asked;
        assert!(
            found.abs_diff(told) < Duration::from_millis(100),
            "{found:?} {told:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn checks_of_one_service_never_overlap() {
    let mut hall = Hall::new();
    hall.probe.script("a:1", &[Act::Hang]);
    let mut options = liveness("a");
    options.liveness.interval = Duration::from_millis(100);
    options.liveness.failure_threshold = 100;
    hall.start("thor", options).await;
    let monitor = hall.monitor.clone();
    let (now, _) = tokio::join!(monitor.check_health_now("thor"), hall.checked_times(5));
    now.expect("the service runs");
    assert_eq!(hall.probe.most_under_way.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn thousand_hanging_checks_are_carried_out_a_few_at_a_time() {
    let mut hall = Hall::new();
    hall.probe.script("a:1", &[Act::Hang]);
    for number in 0..1000 {
        hall.start(&format!("s{number}"), liveness("a")).await;
    }
    hall.checked_times(1000).await;
    assert_eq!(hall.probe.most_under_way.load(SeqCst), 64);
}

#[tokio::test(start_paused = true)]
async fn check_now_leaves_the_schedule_alone() {
    let mut hall = Hall::new();
    hall.start("thor", liveness("a")).await;
    hall.checked().await;
    let first = hall.probe.calls("a:1")[0];
    tokio::time::sleep(Duration::from_secs(3)).await;
    let health = hall.monitor.check_health_now("thor").await.expect("runs");
    assert_eq!(
        (health.status, health.message.as_str()),
        (HealthStatus::Healthy, "fine")
    );
    hall.checked_times(2).await;
    let calls = hall.probe.calls("a:1");
    assert_eq!(calls.len(), 3);
    assert!(calls[2] - first <= ROUND);
}

#[tokio::test(start_paused = true)]
async fn dropped_check_now_changes_nothing() {
    let mut hall = Hall::new();
    hall.start("thor", liveness("a")).await;
    hall.checked().await;
    hall.probe.script("a:1", &[Act::Hang, Act::Pass]);
    let before = hall.monitor.get_health("thor").expect("health");
    let impatient = timeout(
        Duration::from_millis(10),
        hall.monitor.check_health_now("thor"),
    )
    .await;
    assert!(impatient.is_err());
    let after = hall.monitor.get_health("thor").expect("health");
    assert_eq!(
        (after.status, after.last_check),
        (before.status, before.last_check)
    );
    assert_eq!(hall.checked().await, HealthStatus::Healthy);
}

#[tokio::test(start_paused = true)]
async fn check_now_of_a_service_that_does_not_run_says_so() {
    let hall = Hall::new();
    hall.start("thor", liveness("a")).await;
    hall.monitor.suspend_checks("thor");
    let error = hall.monitor.check_health_now("thor").await;
    assert!(
        matches!(error, Err(HealthMonitorError::HealthCheckFailed(_))),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn maintenance_rests_checks_and_keeps_the_verdict() {
    let mut hall = Hall::new();
    hall.start("thor", liveness("a")).await;
    hall.checked().await;
    hall.probe.script("a:1", &[Act::Fail]);
    hall.monitor
        .set_maintenance("thor", true)
        .expect("is monitored");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(hall.probe.calls("a:1").len(), 1);
    assert_eq!(hall.status("thor"), HealthStatus::Healthy);
    for _ in 0..5 {
        hall.monitor.check_health_now("thor").await.expect("runs");
    }
    assert_eq!(hall.status("thor"), HealthStatus::Unhealthy);
    assert!(
        hall.calls.try_recv().is_err(),
        "nothing is ended in maintenance"
    );

    hall.probe.script("a:1", &[Act::Pass]);
    hall.monitor
        .set_maintenance("thor", false)
        .expect("is monitored");
    assert_eq!(hall.checked_times(6).await, HealthStatus::Healthy);
}

// === verdicts ===

#[tokio::test(start_paused = true)]
async fn checking_is_seen_only_before_the_first_check() {
    let mut hall = Hall::new();
    hall.probe.script("a:1", &[Act::Hang, Act::Pass, Act::Hang]);
    hall.start("thor", liveness("a")).await;
    assert_eq!(hall.status("thor"), HealthStatus::Unknown);
    hall.probe.is_under_way().await;
    assert_eq!(hall.status("thor"), HealthStatus::Checking);
    hall.checked_times(2).await;
    hall.probe.is_under_way().await;
    assert_eq!(
        hall.status("thor"),
        HealthStatus::Healthy,
        "the last verdict stays"
    );
}

#[tokio::test(start_paused = true)]
async fn third_failure_is_unhealthy_and_success_heals() {
    let mut hall = Hall::new();
    hall.owner.refuses.store(true, SeqCst);
    use Act::{Fail, Hang, Panic, Pass};
    hall.probe
        .script("a:1", &[Pass, Fail, Panic, Hang, Fail, Pass]);
    hall.start("thor", liveness("a")).await;
    use HealthStatus::{Healthy, Timeout};
    for (status, failures) in [
        (Healthy, 0),
        (Healthy, 1),
        (Healthy, 2),
        (Timeout, 3),
        (Timeout, 4),
        (Healthy, 0),
    ] {
        assert_eq!(hall.checked().await, status);
        let health = hall.monitor.get_health("thor").expect("health");
        assert_eq!(health.consecutive_failures, failures);
    }
}

#[tokio::test(start_paused = true)]
async fn failures_in_the_start_period_do_not_count() {
    let mut hall = Hall::new();
    hall.probe.script("a:1", &[Act::Fail]);
    let mut options = liveness("a");
    options.liveness.start_period = Duration::from_secs(60);
    let begin = Instant::now();
    hall.start("thor", options).await;
    let Some(Call::EndRun(_, true, reason)) = hall.call().await else {
        panic!("is ended");
    };
    assert_eq!(reason, "liveness check: not fine");
    let after = begin.elapsed();
    assert!(
        after >= Duration::from_secs(60) + 2 * INTERVAL.mul_f64(0.9)
            && after <= Duration::from_secs(60) + 3 * ROUND
    );
}

#[tokio::test(start_paused = true)]
async fn process_check_follows_the_process_without_waking_anybody() {
    let hall = Hall::new();
    let options = MonitorOptions {
        readiness: Some(CheckOptions::default()),
        ..MonitorOptions::default()
    };
    hall.start("thor", options).await;
    assert_eq!(hall.status("thor"), HealthStatus::Healthy);
    assert_eq!(hall.monitor.is_ready("thor"), Some(true));
    let health = hall.monitor.check_health_now("thor").await.expect("runs");
    let ahead = health
        .next_check
        .duration_since(health.last_check)
        .expect("ahead");
    assert!(ahead.abs_diff(INTERVAL) < Duration::from_millis(10));
    // Not even the scheduler exists.
    assert_eq!(
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks(),
        0
    );

    hall.alive.0.store(false, SeqCst);
    assert_eq!(hall.status("thor"), HealthStatus::Unhealthy);
    assert_eq!(hall.monitor.is_ready("thor"), Some(false));
    hall.crash("thor");
    assert_eq!(hall.status("thor"), HealthStatus::Unknown);
}

// === start-up gate and readiness ===

#[tokio::test(start_paused = true)]
async fn liveness_and_readiness_wait_for_the_startup_check() {
    let mut hall = Hall::new();
    hall.probe
        .script("up:1", &[Act::Fail, Act::Fail, Act::Pass]);
    hall.probe.script("a:1", &[Act::Fail]);
    let mut options = liveness("a");
    options.startup = Some(check("up"));
    options.readiness = Some(check("ready"));
    hall.start("thor", options).await;

    hall.checked_times(2).await;
    assert!(hall.probe.calls("a:1").is_empty() && hall.probe.calls("ready:1").is_empty());
    hall.checked().await;
    assert_eq!(hall.monitor.is_ready("thor"), Some(false));
    let Some(Call::EndRun(_, _, reason)) = hall.call().await else {
        panic!("then it bites");
    };
    assert!(reason.starts_with("liveness"), "{reason}");
    let passed = hall.probe.calls("up:1");
    assert_eq!(passed.len(), 3, "a startup check that has passed is over");
    assert!(hall.probe.calls("ready:1")[0] - passed[2] <= Duration::from_millis(101));
}

#[tokio::test(start_paused = true)]
async fn failing_startup_ends_the_run_though_liveness_would_pass() {
    let mut hall = Hall::new();
    hall.probe.script("up:1", &[Act::Fail]);
    let mut options = liveness("a");
    options.startup = Some(check("up"));
    hall.start("thor", options).await;
    let Some(Call::EndRun(_, true, reason)) = hall.call().await else {
        panic!("is ended");
    };
    assert!(reason.starts_with("startup"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn failing_readiness_never_ends_a_run() {
    let mut hall = Hall::new();
    hall.probe.script(
        "ready:1",
        &[
            Act::Pass,
            Act::Fail,
            Act::Fail,
            Act::Fail,
            Act::Pass,
            Act::Fail,
        ],
    );
    let options = MonitorOptions {
        readiness: Some(check("ready")),
        ..MonitorOptions::default()
    };
    hall.start("thor", options).await;
    let mut changes = Vec::new();
    while changes.len() < 4 {
        if let HealthEvent::ReadinessChanged { ready, .. } = hall.event().await {
            changes.push(ready);
        }
    }
    assert_eq!(changes, [true, false, true, false]);
    assert_eq!(hall.status("thor"), HealthStatus::Healthy);
    assert_eq!(hall.call().await, None);
}

#[tokio::test(start_paused = true)]
async fn stopping_service_is_not_ready() {
    let mut hall = Hall::new();
    let options = MonitorOptions {
        readiness: Some(check("ready")),
        ..MonitorOptions::default()
    };
    hall.start("thor", options).await;
    while !matches!(
        hall.event().await,
        HealthEvent::ReadinessChanged { ready: true, .. }
    ) {}
    hall.monitor.suspend_checks("thor");
    assert_eq!(hall.monitor.is_ready("thor"), Some(false));
    while !matches!(
        hall.event().await,
        HealthEvent::ReadinessChanged { ready: false, .. }
    ) {}
}

// === the end of runs ===

#[tokio::test(start_paused = true)]
async fn failed_liveness_ends_the_run_once_and_checks_rest_until_the_next() {
    let mut hall = Hall::new();
    hall.probe.script("a:1", &[Act::Fail]);
    hall.start("thor", liveness("a")).await;
    let reason = "liveness check: not fine".to_owned();
    assert_eq!(
        hall.call().await,
        Some(Call::EndRun("thor".to_owned(), true, reason))
    );
    assert_eq!(hall.status("thor"), HealthStatus::Unhealthy);
    hall.monitor.suspend_checks("thor");
    assert_eq!(hall.status("thor"), HealthStatus::Unknown);
    assert_eq!(hall.call().await, None, "once");
    assert_eq!(
        hall.probe.calls("a:1").len(),
        3,
        "no check between the kill and the new process"
    );

    let (attempt, _) = restart_of(
        hall.monitor
            .report_exit("thor", exit(Cause::Probe, Some(0))),
    );
    assert_eq!(attempt, 1);
    assert_eq!(hall.call().await, Some(Call::Restart("thor".to_owned(), 1)));
    assert_eq!(hall.probe.calls("a:1").len(), 3);
    hall.start("thor", liveness("a")).await;
    assert!(matches!(hall.call().await, Some(Call::EndRun(..))));
}

#[tokio::test(start_paused = true)]
async fn run_that_nobody_ends_does_not_go_unwatched() {
    let mut hall = Hall::new();
    hall.probe.script("a:1", &[Act::Fail]);
    hall.start("thor", liveness("a")).await;
    assert!(matches!(hall.call().await, Some(Call::EndRun(..))));
    let asked = Instant::now();
    assert!(matches!(hall.call().await, Some(Call::EndRun(..))));
    assert!(asked.elapsed() >= Duration::from_secs(60));
    assert_eq!(hall.probe.calls("a:1").len(), 4);
}

#[tokio::test(start_paused = true)]
async fn refused_end_of_a_run_is_asked_for_again_at_the_next_failure() {
    let mut hall = Hall::new();
    hall.owner.refuses.store(true, SeqCst);
    hall.probe.script("a:1", &[Act::Fail]);
    hall.start("thor", liveness("a")).await;
    for _ in 0..3 {
        assert!(matches!(hall.call().await, Some(Call::EndRun(..))));
    }
}

#[tokio::test(start_paused = true)]
async fn refused_end_of_a_run_is_not_asked_for_again_by_a_success() {
    let mut hall = Hall::new();
    hall.owner.refuses.store(true, SeqCst);
    use Act::{Fail, Pass};
    hall.probe.script("a:1", &[Fail, Fail, Fail, Pass]);
    let mut options = liveness("a");
    options.liveness.success_threshold = 1000;
    options.readiness = Some(check("ready"));
    hall.start("thor", options).await;
    assert!(matches!(hall.call().await, Some(Call::EndRun(..))));
    assert_eq!(hall.call().await, None);
    assert_eq!(hall.status("thor"), HealthStatus::Unhealthy);
}

#[tokio::test(start_paused = true)]
async fn without_an_owner_the_monitor_only_reports() {
    let probe = Arc::new(FakeProbe::default());
    probe.script("a:1", &[Act::Fail]);
    let ports = MonitorPorts {
        probe: Some(probe.clone()),
        ..MonitorPorts::default()
    };
    let monitor = HealthMonitor::with_ports(HealthMonitorConfig::default(), ports);
    monitor
        .start_monitoring("thor", tcp("a"))
        .await
        .expect("starts");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(probe.calls("a:1").len() > 10, "checks go on");
    assert_eq!(
        monitor.get_health("thor").expect("health").status,
        HealthStatus::Unhealthy
    );
    assert_eq!(
        restart_of(monitor.report_exit("thor", exit(Cause::Signal, None))).0,
        1
    );
}

#[tokio::test(start_paused = true)]
async fn crashes_are_restarted_with_growing_delays_and_then_given_up_once() {
    let mut hall = Hall::new();
    let options = MonitorOptions {
        restart: RestartPolicy {
            jitter: 0.0,
            ..RestartPolicy::default()
        },
        ..MonitorOptions::default()
    };
    for attempt in 1..=3 {
        hall.start("thor", options.clone()).await;
        let reported = Instant::now();
        let decision = hall.crash("thor");
        let delay = Duration::from_secs(1 << (attempt - 1));
        assert_eq!(restart_of(decision), (attempt, delay));
        assert_eq!(hall.crash("thor"), decision, "told twice, it is one end");
        let (call, at) = hall.calls.recv().await.expect("is restarted");
        assert_eq!(call, Call::Restart("thor".to_owned(), attempt));
        assert!((at - reported).abs_diff(delay) <= Duration::from_millis(2));
    }
    hall.start("thor", options).await;
    assert_eq!(hall.crash("thor"), RestartDecision::GiveUp { attempts: 3 });
    assert_eq!(hall.call().await, None, "left alone");

    let mut told = Vec::new();
    while let Ok(event) = hall.events.try_recv() {
        match event {
            HealthEvent::Crashed(crash) => told.push(format!("crash {}", crash.restart_attempt)),
            HealthEvent::RestartsExhausted { attempts, .. } => {
                told.push(format!("exhausted {attempts}"))
            }
            _ => {}
        }
    }
    assert_eq!(
        told,
        ["crash 1", "crash 2", "crash 3", "crash 0", "exhausted 3"]
    );
}

#[tokio::test(start_paused = true)]
async fn ends_that_are_no_crash_are_not_told_as_one() {
    for (report, mode, decision) in [
        (
            exit(Cause::Exit, Some(0)),
            RestartMode::OnFailure,
            RestartDecision::Success,
        ),
        (
            exit(Cause::User, None),
            RestartMode::Always,
            RestartDecision::Success,
        ),
        (
            exit(Cause::Shutdown, Some(1)),
            RestartMode::Always,
            RestartDecision::Success,
        ),
        (
            exit(Cause::Spawn, None),
            RestartMode::Always,
            RestartDecision::GiveUp { attempts: 0 },
        ),
    ] {
        let mut hall = Hall::new();
        let mut options = MonitorOptions::default();
        options.restart.mode = mode;
        hall.start("thor", options).await;
        assert_eq!(
            hall.monitor.report_exit("thor", report.clone()),
            decision,
            "{report:?}"
        );
        assert_eq!(hall.call().await, None, "{report:?}");
        while let Ok(event) = hall.events.try_recv() {
            assert!(matches!(event, HealthEvent::StatusChanged(_)), "{event:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn policy_never_ends_an_unhealthy_run_without_a_restart() {
    let mut hall = Hall::new();
    hall.probe.script("a:1", &[Act::Fail]);
    let mut options = liveness("a");
    options.restart.mode = RestartMode::Never;
    hall.start("thor", options).await;
    assert!(matches!(hall.call().await, Some(Call::EndRun(_, false, _))));
    let decision = hall.monitor.report_exit("thor", exit(Cause::Probe, None));
    assert_eq!(decision, RestartDecision::Never);
    assert_eq!(hall.call().await, None);
}

#[tokio::test(start_paused = true)]
async fn restart_that_is_due_is_cancelled() {
    for cancel in ["stop", "reset", "user", "started"] {
        let mut hall = Hall::new();
        hall.start("thor", MonitorOptions::default()).await;
        hall.crash("thor");
        match cancel {
            "stop" => hall.monitor.stop_monitoring("thor").await,
            "reset" => hall.monitor.reset_attempts("thor"),
            "user" => {
                let decision = hall.monitor.report_exit("thor", exit(Cause::User, None));
                assert_eq!(decision, RestartDecision::Success);
            }
            _ => hall.start("thor", MonitorOptions::default()).await,
        }
        assert_eq!(hall.call().await, None, "{cancel}");
    }
}

#[tokio::test(start_paused = true)]
async fn reset_forgets_the_attempts_and_suspending_does_not() {
    let mut hall = Hall::new();
    for attempt in 1..=2 {
        hall.start("thor", MonitorOptions::default()).await;
        hall.monitor.suspend_checks("thor");
        assert_eq!(restart_of(hall.crash("thor")).0, attempt);
        hall.call().await.expect("is restarted");
    }
    hall.monitor.reset_attempts("thor");
    hall.start("thor", MonitorOptions::default()).await;
    assert_eq!(restart_of(hall.crash("thor")).0, 1);
}

#[tokio::test(start_paused = true)]
async fn stop_ends_a_restart_and_a_check_that_are_under_way() {
    let mut hall = Hall::new();
    hall.owner.hangs.store(true, SeqCst);
    hall.start("thor", MonitorOptions::default()).await;
    hall.crash("thor");
    hall.call().await.expect("the restart is under way");
    hall.monitor.stop_monitoring("thor").await;
    assert!(hall.monitor.get_health("thor").is_err());

    hall.probe.script("a:1", &[Act::Hang]);
    hall.start("thor", liveness("a")).await;
    hall.probe.is_under_way().await;
    hall.monitor.stop_monitoring("thor").await;
    assert_eq!(hall.probe.under_way.load(SeqCst), 0);
    hall.monitor.stop_monitoring("thor").await;
}

#[tokio::test(start_paused = true)]
async fn restarts_of_a_whole_hall_are_spread() {
    let mut hall = Hall::new();
    let begin = Instant::now();
    for number in 0..1000 {
        let name = format!("s{number}");
        hall.start(&name, MonitorOptions::default()).await;
        hall.crash(&name);
    }
    let mut times = Vec::new();
    while times.len() < 1000 {
        let (_, at) = hall.calls.recv().await.expect("is restarted");
        times.push(at - begin);
    }
    let within = |secs| times.iter().filter(|at| at.as_secs_f64() < secs).count();
    assert!((100..=160).contains(&within(1.2)), "{}", within(1.2));
    assert!(within(10.0) <= 610 && times[999] >= Duration::from_secs(17));
}

// === observers ===

#[tokio::test(start_paused = true)]
async fn observers_see_every_change_in_order() {
    let mut hall = Hall::new();
    let (sender, mut changes) = mpsc::unbounded_channel();
    hall.monitor.on_health_change(|_| panic!("a bad listener"));
    hall.monitor.on_health_change(move |change| {
        let pair = (change.old_status, change.new_status);
        sender.send(pair).expect("the test listens");
    });
    let (sender, mut crashes) = mpsc::unbounded_channel();
    hall.monitor
        .on_service_crash(move |crash| sender.send(crash).expect("the test listens"));
    use Act::{Fail, Pass};
    hall.probe.script("a:1", &[Pass, Fail, Fail, Fail]);
    hall.start("thor", liveness("a")).await;
    let mut updates = hall
        .monitor
        .subscribe_health_updates("thor")
        .expect("is monitored");
    hall.call().await.expect("is ended");
    let report = ExitReport {
        signal: Some(9),
        ..exit(Cause::Probe, None)
    };
    hall.monitor.report_exit("thor", report);

    use HealthStatus::{Healthy, Unhealthy, Unknown};
    for pair in [
        (Unknown, Healthy),
        (Healthy, Unhealthy),
        (Unhealthy, Unknown),
    ] {
        assert_eq!(changes.recv().await, Some(pair));
    }
    let crash = crashes.recv().await.expect("a crash");
    assert_eq!(
        (crash.signal, crash.cause, crash.restart_attempt),
        (Some(9), Cause::Probe, 1)
    );
    for status in [Healthy, Healthy, Healthy, Unhealthy, Unknown] {
        assert_eq!(updates.recv().await.expect("an update").status, status);
    }
    hall.monitor.stop_monitoring("thor").await;
    assert!(
        updates.recv().await.is_err(),
        "the stream ends with the monitoring"
    );
}

// === the end of the monitor ===

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_all_tasks() {
    let hall = Hall::new();
    hall.probe.script("a:1", &[Act::Hang]);
    for number in 0..10 {
        hall.start(&format!("s{number}"), liveness("a")).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(hall.probe.under_way.load(SeqCst), 10);
    assert_eq!(alive_tasks(), 11, "ten checks and the scheduler");
    hall.monitor.shutdown().await;
    assert_eq!(hall.probe.under_way.load(SeqCst), 0);
    assert_eq!(
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks(),
        0
    );
    let late = hall.monitor.start_monitoring("late", tcp("a")).await;
    assert!(matches!(
        late,
        Err(HealthMonitorError::HealthCheckFailed(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_ends_the_tasks() {
    let Hall { monitor, probe, .. } = Hall::new();
    probe.script("a:1", &[Act::Hang]);
    monitor
        .start_monitoring("thor", tcp("a"))
        .await
        .expect("starts");
    probe.is_under_way().await;
    let clone = monitor.clone();
    drop(monitor);
    tokio::task::yield_now().await;
    assert_eq!(probe.under_way.load(SeqCst), 1, "a clone is left");
    drop(clone);
    let ended = async {
        while tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
            > 0
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(60), ended)
        .await
        .expect("they end");
    assert_eq!(Arc::strong_count(&probe), 1, "and hold nothing");
}
