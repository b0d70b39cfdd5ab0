//! Configuration of the health monitor, and of the monitoring of one service.

use std::time::Duration;

use gladsheim_types::HealthCheckStrategy;

use crate::probe;

/// How long a start may take where nobody says.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(30);

/// Configuration of a [`HealthMonitor`](crate::HealthMonitor) (specification: Roskva, Configuration).
#[derive(Debug, Clone, PartialEq)]
pub struct HealthMonitorConfig {
    /// Time between two checks. Default: 5 s; bounds: above zero.
    pub check_interval: Duration,
    /// Whether failed services are restarted at all. Default: true.
    pub auto_restart: bool,
    /// Restarts within the window before it is given up; 0 is no limit. Default: 3.
    pub max_restart_attempts: u32,
    /// Delay before the first restart; doubled for each further one. Default: 1 s.
    pub restart_backoff: Duration,
    /// Longest time of a check whose strategy names none. Default: 5 s; bounds: above zero.
    pub health_check_timeout: Duration,
    /// Failures in a row until a service is unhealthy. Default: 3; bounds: at least 1.
    pub consecutive_failures_threshold: u32,
    /// Added: whether a restart because of a check waits while the machine or this process starves, by at most the
    /// longer of three intervals and 30 s. Default: true.
    pub load_guard: bool,
}

impl Default for HealthMonitorConfig {
    fn default() -> Self {
        Self {
            check_interval: Duration::from_secs(5),
            auto_restart: true,
            max_restart_attempts: 3,
            restart_backoff: Duration::from_secs(1),
            health_check_timeout: Duration::from_secs(5),
            consecutive_failures_threshold: 3,
            load_guard: true,
        }
    }
}

impl HealthMonitorConfig {
    /// The monitoring of a service for which only a strategy is known.
    pub fn monitor_options(&self, strategy: HealthCheckStrategy) -> MonitorOptions {
        MonitorOptions {
            liveness: self.check_options(strategy),
            readiness: None,
            startup: None,
            restart: self.restart_policy(),
            startup_timeout: STARTUP_TIMEOUT,
        }
    }

    /// A check with this configuration's interval and threshold.
    pub fn check_options(&self, strategy: HealthCheckStrategy) -> CheckOptions {
        CheckOptions {
            strategy,
            interval: self.check_interval,
            failure_threshold: self.consecutive_failures_threshold,
            success_threshold: 1,
            start_period: Duration::ZERO,
            shutdown_timeout: None,
        }
    }

    /// The restart policy of services that have none of their own.
    pub fn restart_policy(&self) -> RestartPolicy {
        RestartPolicy {
            mode: if self.auto_restart {
                RestartMode::OnFailure
            } else {
                RestartMode::Never
            },
            max_attempts: self.max_restart_attempts,
            backoff: self.restart_backoff,
            ..RestartPolicy::default()
        }
    }
}

/// How one service is monitored.
#[derive(Debug, Clone, PartialEq)]
pub struct MonitorOptions {
    /// Decides health; crossing its failure threshold ends the run under the restart policy.
    pub liveness: CheckOptions,
    /// Decides readiness; never restarts anything.
    pub readiness: Option<CheckOptions>,
    /// Gate: liveness does not count until this has passed; its failure ends the run.
    pub startup: Option<CheckOptions>,
    /// What follows when a run ends.
    pub restart: RestartPolicy,
    /// Added: a crash within this time is one of the start ([`CrashStage::Startup`](crate::CrashStage)). Default: 30 s.
    pub startup_timeout: Duration,
}

impl Default for MonitorOptions {
    fn default() -> Self {
        HealthMonitorConfig::default().monitor_options(HealthCheckStrategy::Process)
    }
}

/// One kind of check of one service.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckOptions {
    /// How to check.
    pub strategy: HealthCheckStrategy,
    /// Time between two checks, varied by 5 % both ways; the first comes within 100 ms. Default: 5 s;
    /// bounds: above zero.
    pub interval: Duration,
    /// Failures in a row until it has failed. Default: 3; bounds: at least 1.
    pub failure_threshold: u32,
    /// Successes in a row until it has passed, at first and again. Default: 1; bounds: at least 1.
    pub success_threshold: u32,
    /// Failures during this time after the start do not count. Default: 0.
    pub start_period: Duration,
    /// How long the stop may take of a run that this check ends, instead of what holds for other stops; zero
    /// kills at once. Default: none.
    pub shutdown_timeout: Option<Duration>,
}

impl Default for CheckOptions {
    fn default() -> Self {
        HealthMonitorConfig::default().check_options(HealthCheckStrategy::Process)
    }
}

impl CheckOptions {
    /// Says what makes no sense, and what is allowed.
    pub(crate) fn validate(&self) -> Result<(), String> {
        if self.interval.is_zero() {
            return Err("interval 0 s: expected a time above zero".to_owned());
        }
        if self.failure_threshold == 0 || self.success_threshold == 0 {
            return Err("threshold 0: expected at least 1".to_owned());
        }
        if self.strategy.timeout() == Some(Duration::ZERO) {
            return Err("timeout 0 s: expected a time above zero".to_owned());
        }
        probe::validate(&self.strategy)
    }
}

/// What follows when a run ends.
#[derive(Debug, Clone, PartialEq)]
pub struct RestartPolicy {
    /// Which ends lead to a restart. Default: failures.
    pub mode: RestartMode,
    /// Restarts within `window` before it is given up; 0 is no limit. Default: 3.
    pub max_attempts: u32,
    /// Sliding window in which restarts count. Default: 10 min.
    pub window: Duration,
    /// Delay before the first restart. Default: 1 s.
    pub backoff: Duration,
    /// Factor from one delay to the next. Default: 2.0; bounds: at least 1.0.
    pub backoff_factor: f64,
    /// The delay, before jitter, never grows above this. Default: 1 min.
    pub backoff_max: Duration,
    /// Part of the delay by which it is varied at random, both ways. Default: 0.1; bounds: 0.0 to 1.0.
    pub jitter: f64,
    /// After this time of stable running, earlier restarts no longer count. Default: 1 min; zero: they
    /// always count.
    pub reset_after: Duration,
    /// Exit codes that are no failure. Default: 0.
    pub success_exit_codes: Vec<i32>,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            mode: RestartMode::OnFailure,
            max_attempts: 3,
            window: Duration::from_secs(600),
            backoff: Duration::from_secs(1),
            backoff_factor: 2.0,
            backoff_max: Duration::from_secs(60),
            jitter: 0.1,
            reset_after: Duration::from_secs(60),
            success_exit_codes: vec![0],
        }
    }
}

/// Which ends lead to a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RestartMode {
    /// Every end that nobody asked for.
    Always,
    /// Every end that is not a success.
    #[default]
    OnFailure,
    /// None.
    Never,
}
