//! Every field has its effect, and services that come, go or stay are told apart.

use std::time::{Duration, SystemTime};

use byggvir::{LimitAction, OomPolicy};
use roskva::{CheckOptions, HealthCheckStrategy, RestartMode};
use thjalfi::{Readiness, Signal};

use super::{Effect, Plan, PlanAction, plan, plan_for};
use crate::{
    Dependency, DependencyCondition, FileMark, GroupStrategy, RestartGroup, ServiceDefinition,
};

const MINUTE: Duration = Duration::from_secs(60);

type Edit = fn(&mut ServiceDefinition);

fn service(name: &str) -> ServiceDefinition {
    ServiceDefinition::new(name, "/bin/true")
}

fn edited(edit: Edit) -> Plan {
    let old = service("thor");
    let mut new = old.clone();
    edit(&mut new);
    plan(&[Box::new(old)], &[new])
}

/// What each field leads to: key, effect, and how it reads.
const FIELDS: [(Effect, &str, Edit); 54] = [
    (
        Effect::Restart,
        r#"path: "/bin/true" -> "/bin/false""#,
        |s| s.path = "/bin/false".into(),
    ),
    (Effect::Restart, r#"args: [] -> ["-v"]"#, |s| {
        s.start.args = vec!["-v".into()];
    }),
    (Effect::Restart, "env.LOG: none -> set", |s| {
        s.start.env_vars.insert("LOG".into(), "secret".into());
    }),
    (Effect::Restart, r#"env_file: none -> "x.env""#, |s| {
        s.start.env_file = Some("x.env".into());
    }),
    (Effect::Restart, "clear_env: false -> true", |s| {
        s.start.clear_env = true;
    }),
    (Effect::Restart, r#"working_dir: none -> "/srv""#, |s| {
        s.start.working_dir = Some("/srv".into());
    }),
    (Effect::Restart, r#"user: none -> "thor""#, |s| {
        s.start.user = Some("thor".into());
    }),
    (Effect::Restart, r#"group: none -> "thor""#, |s| {
        s.start.group = Some("thor".into());
    }),
    (Effect::Restart, "umask: none -> 022", |s| {
        s.start.umask = Some(0o22);
    }),
    (Effect::Restart, "nice: none -> 5", |s| {
        s.start.nice = Some(5)
    }),
    (Effect::Restart, "oom_score_adj: none -> 100", |s| {
        s.start.oom_score_adj = Some(100);
    }),
    (Effect::Restart, "no_new_privs: false -> true", |s| {
        s.start.no_new_privs = true;
    }),
    (
        Effect::Restart,
        r#"capabilities: none -> ["CAP_KILL"]"#,
        |s| s.start.capabilities = Some(vec!["CAP_KILL".into()]),
    ),
    (Effect::Restart, r#"rlimits: [] -> [("core", 0)]"#, |s| {
        s.start.rlimits = vec![("core".into(), 0)];
    }),
    (Effect::Restart, r#"sha256: none -> "ab""#, |s| {
        s.start.sha256 = Some("ab".into());
    }),
    (Effect::NextStart, "startup_timeout: 30s -> 60s", |s| {
        s.start.startup_timeout = MINUTE;
    }),
    (Effect::NextStart, "stop_signal: SIGTERM -> SIGINT", |s| {
        s.start.stop_signal = Signal::Interrupt
    }),
    (
        Effect::NextStart,
        r#"pre_start: none -> ["migrate"]"#,
        |s| s.start.pre_start = Some(vec!["migrate".into()]),
    ),
    (Effect::NextStart, r#"post_stop: none -> ["tidy"]"#, |s| {
        s.start.post_stop = Some(vec!["tidy".into()]);
    }),
    (Effect::NextStart, "logs.max_size: 10485760 -> 1", |s| {
        s.start.log_rotation.max_size = 1
    }),
    (Effect::NextStart, "logs.max_files: 5 -> 1", |s| {
        s.start.log_rotation.max_files = 1;
    }),
    (Effect::NextStart, "ready: none -> notify", |s| {
        s.start.readiness = Readiness::Notify;
    }),
    (Effect::NextStart, "ready: none -> health", |s| {
        s.ready_by_health = true;
    }),
    (Effect::Live, "autostart: true -> false", |s| {
        s.autostart = false
    }),
    (
        Effect::Live,
        "depends_on: none -> freki (healthy, not required)",
        |s| {
            s.depends_on.push(Dependency {
                service_name: "freki".into(),
                condition: DependencyCondition::Healthy,
                required: false,
            });
        },
    ),
    (Effect::Live, "shutdown_timeout: 10s -> 60s", |s| {
        s.shutdown_timeout = MINUTE;
    }),
    (Effect::Live, "essential: false -> true", |s| {
        s.essential = true
    }),
    (
        Effect::Live,
        "restart_group: none -> web (one_for_all)",
        |s| {
            s.restart_group = Some(RestartGroup {
                name: "web".into(),
                strategy: GroupStrategy::OneForAll,
            });
        },
    ),
    (Effect::Live, r#"endpoints: [] -> ["tcp:1"]"#, |s| {
        s.endpoints.push("tcp:1".into());
    }),
    (Effect::Live, r#"metadata: {} -> {"role": "web"}"#, |s| {
        s.metadata.insert("role".into(), "web".into());
    }),
    (
        Effect::Live,
        r#"health: Process -> Tcp { address: "x:1", timeout: 60s }"#,
        |s| {
            s.monitor.liveness.strategy = HealthCheckStrategy::Tcp {
                address: "x:1".into(),
                timeout: MINUTE,
            };
        },
    ),
    (Effect::Live, "health.interval: 5s -> 60s", |s| {
        s.monitor.liveness.interval = MINUTE;
    }),
    (Effect::Live, "health.failure_threshold: 3 -> 9", |s| {
        s.monitor.liveness.failure_threshold = 9;
    }),
    (Effect::Live, "health.success_threshold: 1 -> 9", |s| {
        s.monitor.liveness.success_threshold = 9;
    }),
    (Effect::Live, "health.start_period: 0ns -> 60s", |s| {
        s.monitor.liveness.start_period = MINUTE;
    }),
    (Effect::Live, "health.shutdown_timeout: none -> 60s", |s| {
        s.monitor.liveness.shutdown_timeout = Some(MINUTE);
    }),
    (Effect::Live, "readiness: none -> Process", |s| {
        s.monitor.readiness = Some(CheckOptions::default());
    }),
    (Effect::Live, "startup: none -> Process", |s| {
        s.monitor.startup = Some(CheckOptions::default());
    }),
    (Effect::Live, "restart.policy: on-failure -> always", |s| {
        s.monitor.restart.mode = RestartMode::Always;
    }),
    (Effect::Live, "restart.max_attempts: 3 -> 9", |s| {
        s.monitor.restart.max_attempts = 9;
    }),
    (Effect::Live, "restart.window: 600s -> 60s", |s| {
        s.monitor.restart.window = MINUTE;
    }),
    (Effect::Live, "restart.backoff: 1s -> 60s", |s| {
        s.monitor.restart.backoff = MINUTE;
    }),
    (Effect::Live, "restart.backoff_factor: 2.0 -> 3.0", |s| {
        s.monitor.restart.backoff_factor = 3.0;
    }),
    (Effect::Live, "restart.backoff_max: 60s -> 5s", |s| {
        s.monitor.restart.backoff_max = Duration::from_secs(5);
    }),
    (Effect::Live, "restart.jitter: 0.1 -> 0.2", |s| {
        s.monitor.restart.jitter = 0.2;
    }),
    (Effect::Live, "restart.reset_after: 60s -> 5s", |s| {
        s.monitor.restart.reset_after = Duration::from_secs(5);
    }),
    (
        Effect::Live,
        "restart.success_exit_codes: [0] -> [0, 3]",
        |s| s.monitor.restart.success_exit_codes.push(3),
    ),
    (Effect::Live, "limits.memory: 0 -> 1024", |s| {
        s.limits.max_memory_bytes = 1024;
    }),
    (Effect::Live, "limits.cpu_percent: 0.0 -> 25.0", |s| {
        s.limits.max_cpu_percent = 25.0;
    }),
    (Effect::Live, "limits.action: warn -> stop", |s| {
        s.limit_policy.action = LimitAction::Stop;
    }),
    (Effect::Live, "limits.pids: 0 -> 7", |s| {
        s.limit_policy.pids = 7
    }),
    (Effect::Live, "limits.memory_high: 0 -> 7", |s| {
        s.limit_policy.memory_high_bytes = 7;
    }),
    (Effect::Live, "limits.pressure.memory: 0 -> 20", |s| {
        s.limit_policy.pressure.memory = 20;
    }),
    (Effect::Live, "limits.oom: stop -> continue", |s| {
        s.limit_policy.oom = OomPolicy::Continue;
    }),
];

#[test]
fn every_field_takes_effect_as_it_can() {
    for (effect, text, edit) in FIELDS {
        let plan = edited(edit);
        let [step] = &plan.steps[..] else {
            panic!("{text}: {plan:?}");
        };
        let told: Vec<_> = step.fields.iter().map(ToString::to_string).collect();
        assert_eq!(told, [text]);
        assert_eq!(step.fields[0].effect, effect, "{text}");
        let action = match effect {
            Effect::Live => PlanAction::Apply,
            Effect::NextStart => PlanAction::NextStart,
            Effect::Restart => PlanAction::Restart,
        };
        assert_eq!(step.action, action, "{text}");
    }
}

#[test]
fn a_secret_is_not_told() {
    let plan = edited(|s| {
        s.start.env_vars.insert("KEY".into(), "mjolnir".into());
    });
    assert!(!format!("{plan:?}").contains("mjolnir"));
}

#[test]
fn the_strongest_change_decides() {
    let plan = edited(|s| {
        s.essential = true;
        s.start.args.push("-v".into());
        s.start.startup_timeout = MINUTE;
    });
    assert_eq!(plan.steps[0].action, PlanAction::Restart);
    assert_eq!(plan.steps[0].fields.len(), 3);
}

#[test]
fn a_renamed_service_is_removed_and_added() {
    let old = ["a", "b"].map(|name| Box::new(service(name)));
    let plan = plan(&old, &[service("c"), service("a")]);
    let steps: Vec<_> = plan
        .steps
        .iter()
        .map(|step| (step.service_name.as_str(), step.action))
        .collect();
    assert_eq!(
        steps,
        [
            ("b", PlanAction::Remove),
            ("c", PlanAction::Add),
            ("a", PlanAction::None)
        ]
    );
}

#[test]
fn a_changed_env_file_restarts_unless_the_present_run_has_read_it() {
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let marked = |digest, changed| {
        let mut service = service("thor");
        service.start.env_file = Some("thor.env".into());
        let changed = at(changed);
        service.files.env_file = Some(FileMark { digest, changed });
        service
    };
    for (new, started, action) in [
        (marked(1, 9), Some(5), PlanAction::None),
        (marked(2, 9), Some(5), PlanAction::Restart),
        (marked(2, 3), Some(5), PlanAction::Apply),
        (marked(2, 9), None, PlanAction::Restart),
    ] {
        let plan = plan_for(&[Box::new(marked(1, 1))], &[new], |_| started.map(at));
        assert_eq!(plan.steps[0].action, action, "{plan:?}");
    }
}

#[test]
fn a_changed_program_waits_for_the_next_start() {
    let mut new = service("thor");
    new.files.program_changed = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(9));
    for (started, action) in [(5, PlanAction::NextStart), (10, PlanAction::None)] {
        let started = |_: &str| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(started));
        let plan = plan_for(&[Box::new(service("thor"))], &[new.clone()], started);
        assert_eq!(plan.steps[0].action, action, "{plan:?}");
    }
}
