//! Files without errors: the values and defaults that they lead to.

use std::time::Duration;

use gladsheim_core::{
    Dependency, DependencyCondition, FileMarks, GroupStrategy, RestartGroup, ServiceDefinition,
    byggvir::{
        Backend, LimitAction, LimitPolicy, OomPolicy, ResourceLimits, ResourceManagerConfig,
        pressure::PressureLimits,
    },
    roskva::{
        CheckOptions, HealthCheckStrategy, HealthMonitorConfig, MonitorOptions, RestartMode,
        RestartPolicy,
    },
    thjalfi::{LogRotation, Readiness, Signal, StartOptions},
};

use super::*;

const MIB: u64 = 1024 * 1024;

/// The only service of a file that has the path and these lines more.
#[track_caller]
fn service(lines: &str) -> ServiceDefinition {
    let mut hall = good(&format!("[services.a]\npath = \"bin/a\"\n{lines}"));
    hall.config.services.remove(0)
}

#[test]
fn an_empty_file_is_a_hall_without_services() {
    let hall = good("");
    assert_eq!(hall.config.services, []);
    assert_eq!(hall.config.health, HealthMonitorConfig::default());
    assert_eq!(hall.config.resources, ResourceManagerConfig::default());
    assert_eq!(
        hall.config.loader.cgroup_name.as_deref(),
        Some("gladsheim-1d615d48")
    );
    assert!(!hall.on_file_change && hall.metrics.is_none());
}

#[test]
fn the_load_guard_can_be_turned_off() {
    assert!(!good("load_guard = false").config.health.load_guard);
}

#[test]
fn a_service_needs_no_more_than_its_path() {
    let definition = service("");
    let expected = ServiceDefinition {
        start: StartOptions {
            working_dir: Some("/srv".into()),
            ..StartOptions::default()
        },
        // Midgard's limits: they only warn.
        limits: ResourceLimits::for_platform(Default::default()),
        limit_policy: LimitPolicy {
            memory_advisory: true,
            cpu_advisory: true,
            ..LimitPolicy::default()
        },
        ..ServiceDefinition::new("a", "/srv/bin/a")
    };
    assert_eq!(definition, expected);
}

#[test]
fn every_key_of_the_contract_is_understood() {
    let hall = good(EVERY_KEY);
    let [freki, thor] = &hall.config.services[..] else {
        panic!("{:?}", hall.config.services)
    };
    assert_eq!(
        (freki.name.as_str(), &freki.path),
        ("freki", &"/srv/bin/freki".into())
    );
    let expected = ServiceDefinition {
        files: FileMarks::default(),
        name: "thor".to_owned(),
        path: "/srv/bin/thor".into(),
        start: StartOptions {
            env_vars: [("LOG".to_owned(), "info".to_owned())].into(),
            working_dir: Some("/srv/thor".into()),
            args: vec!["--port".to_owned(), "8081".to_owned()],
            resource_limits: None,
            startup_timeout: Duration::from_secs(30),
            readiness: Readiness::Notify,
            stop_signal: Signal::Terminate,
            watchdog: Some(Duration::from_secs(10)),
            env_file: Some("/srv/thor.env".into()),
            clear_env: false,
            user: Some("thor".to_owned()),
            group: Some("thor".to_owned()),
            umask: Some(0o22),
            nice: Some(5),
            oom_score_adj: Some(100),
            no_new_privs: true,
            capabilities: Some(vec!["CAP_NET_BIND_SERVICE".to_owned()]),
            rlimits: vec![("nofile".to_owned(), 4096), ("core".to_owned(), 0)],
            sha256: Some(
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".to_owned(),
            ),
            pre_start: Some(vec!["/srv/bin/migrate".to_owned()]),
            post_stop: Some(vec!["cleanup".to_owned(), "--all".to_owned()]),
            log_rotation: LogRotation {
                max_size: 10 * MIB,
                max_files: 5,
            },
            sockets: vec!["tcp:127.0.0.1:8081".parse().unwrap()],
        },
        ready_by_health: false,
        autostart: true,
        depends_on: vec![Dependency {
            service_name: "freki".to_owned(),
            condition: DependencyCondition::Healthy,
            required: true,
        }],
        shutdown_timeout: Duration::from_secs(5),
        essential: true,
        endpoints: vec!["http://127.0.0.1:8081".to_owned()],
        monitor: MonitorOptions {
            liveness: CheckOptions {
                strategy: HealthCheckStrategy::Http {
                    url: "http://127.0.0.1:8081/health".to_owned(),
                    timeout: Duration::from_secs(5),
                },
                shutdown_timeout: Some(Duration::from_secs(2)),
                ..CheckOptions::default()
            },
            readiness: Some(CheckOptions {
                strategy: HealthCheckStrategy::Grpc {
                    address: "127.0.0.1:50051".to_owned(),
                    service_name: "freki.v1.Freki".to_owned(),
                    timeout: Duration::from_secs(5),
                },
                ..CheckOptions::default()
            }),
            startup: Some(CheckOptions::default()),
            restart: RestartPolicy::default(),
            ..MonitorOptions::default()
        },
        limits: ResourceLimits {
            max_memory_bytes: 256 * MIB,
            max_cpu_percent: 25.0,
            memory_warning_percent: 80.0,
            cpu_warning_percent: 80.0,
        },
        limit_policy: LimitPolicy {
            action: LimitAction::Restart,
            pids: 128,
            memory_high_bytes: 200 * MIB,
            oom: OomPolicy::Stop,
            memory_advisory: false,
            cpu_advisory: false,
            pressure: PressureLimits {
                cpu: 80,
                memory: 20,
                io: 0,
            },
        },
        restart_group: Some(RestartGroup {
            name: "web".to_owned(),
            strategy: GroupStrategy::RestForOne,
        }),
        metadata: [("role".to_owned(), "web".to_owned())].into(),
    };
    assert_eq!(*thor, expected);
    let resources = &hall.config.resources;
    let machine = PressureLimits {
        cpu: 90,
        memory: 10,
        io: 0,
    };
    assert_eq!(
        (resources.backend, resources.pressure),
        (Backend::Procfs, machine)
    );
    assert_eq!(hall.state_dir, Path::new("/srv/state"));
    assert_eq!(hall.socket, Path::new("/srv/control.sock"));
    assert_eq!(
        hall.config.loader.log_dir.as_deref(),
        Some(Path::new("/srv/state/logs"))
    );
}

#[test]
fn the_annotated_example_is_a_hall() {
    let hall = good(include_str!("../../../../../config/gladsheim.toml"));
    assert!(!hall.config.services.is_empty());
}

#[test]
fn services_keep_the_order_of_the_file() {
    let hall = good("services.z.path='z'\nservices.a.path='a'\nservices.m.path='m'\n");
    let names: Vec<_> = hall
        .config
        .services
        .iter()
        .map(|s| s.name.as_str())
        .collect();
    assert_eq!(names, ["z", "a", "m"]);
}

#[test]
fn the_health_section_gives_services_their_defaults() {
    let hall = good(
        "[health]\ncheck_interval = '1s'\nauto_restart = false\nmax_restart_attempts = 7\n\
         restart_backoff = '2m'\nhealth_check_timeout = '2s'\nconsecutive_failures_threshold = 9\n\
         [services.a]\npath = 'a'\nhealth.tcp = 'localhost:80'\n\
         [services.b]\npath = 'b'\nrestart.policy = 'always'\nhealth = { exec = ['bin/b', 'x'], interval = '3s' }\n",
    );
    let [a, b] = &hall.config.services[..] else {
        panic!("two services")
    };
    assert_eq!(
        a.monitor.liveness,
        CheckOptions {
            strategy: HealthCheckStrategy::Tcp {
                address: "localhost:80".to_owned(),
                timeout: Duration::from_secs(2),
            },
            interval: Duration::from_secs(1),
            failure_threshold: 9,
            success_threshold: 1,
            start_period: Duration::ZERO,
            shutdown_timeout: None,
        }
    );
    assert_eq!(
        a.monitor.restart,
        RestartPolicy {
            mode: RestartMode::Never,
            max_attempts: 7,
            backoff: Duration::from_secs(120),
            // A delay above the default cap raises it.
            backoff_max: Duration::from_secs(120),
            ..RestartPolicy::default()
        }
    );
    assert_eq!(b.monitor.restart.mode, RestartMode::Always);
    assert_eq!(b.monitor.liveness.interval, Duration::from_secs(3));
    assert_eq!(
        b.monitor.liveness.strategy,
        HealthCheckStrategy::Exec {
            command: vec!["/srv/bin/b".to_owned(), "x".to_owned()],
            timeout: Duration::from_secs(2),
        }
    );
}

#[test]
fn the_loader_section_gives_services_their_timeouts() {
    let hall = good(
        "[loader]\nstartup_timeout = '3s'\nshutdown_timeout = '0s'\n\
         [services.a]\npath = 'a'\n[services.b]\npath = 'b'\nshutdown_timeout = '9s'\n",
    );
    let times: Vec<_> = hall
        .config
        .services
        .iter()
        .map(|s| s.shutdown_timeout.as_secs())
        .collect();
    assert_eq!(times, [0, 9]);
    assert_eq!(hall.config.services[0].start.startup_timeout.as_secs(), 3);
}

#[test]
fn limits_are_inherited_field_by_field_and_the_platforms_are_advice() {
    const ADVICE: bool = true;
    const BINDING: bool = false;
    for (file, memory, cpu, action) in [
        ("", (1024 * MIB, ADVICE), (50.0, ADVICE), LimitAction::Warn),
        (
            "services.a.limits.action = 'stop'",
            (1024 * MIB, ADVICE),
            (50.0, ADVICE),
            LimitAction::Stop,
        ),
        (
            "platform = 'alfheim'",
            (128 * MIB, ADVICE),
            (25.0, ADVICE),
            LimitAction::Warn,
        ),
        (
            "services.a.limits.memory = 0",
            (0, BINDING),
            (50.0, ADVICE),
            LimitAction::Warn,
        ),
        (
            "resources.default_limits.memory = '64MiB'",
            (64 * MIB, BINDING),
            (50.0, ADVICE),
            LimitAction::Warn,
        ),
        (
            "resources.default_limits.action = 'stop'\nservices.a.limits.memory = '64MiB'",
            (64 * MIB, BINDING),
            (50.0, ADVICE),
            LimitAction::Stop,
        ),
        (
            "resources.default_limits = { memory = '32MiB', cpus = 1 }\n\
             services.a.limits = { memory = '64MiB', action = 'restart' }",
            (64 * MIB, BINDING),
            (25.0, BINDING),
            LimitAction::Restart,
        ),
        (
            "services.a.limits.cpus = 0.5",
            (1024 * MIB, ADVICE),
            (12.5, BINDING),
            LimitAction::Warn,
        ),
    ] {
        let hall = good(&format!("{file}\nservices.a.path = 'a'\n"));
        let service = &hall.config.services[0];
        let (limits, policy) = (&service.limits, &service.limit_policy);
        assert_eq!(
            (
                (limits.max_memory_bytes, policy.memory_advisory),
                (limits.max_cpu_percent, policy.cpu_advisory),
                policy.action
            ),
            (memory, cpu, action),
            "{file}"
        );
    }
}

#[test]
fn readiness_has_five_forms() {
    for (text, readiness, by_health) in [
        ("none", Readiness::Exec, false),
        ("health", Readiness::Exec, true),
        ("notify", Readiness::Notify, false),
        (
            "delay:1m30s",
            Readiness::Delay(Duration::from_secs(90)),
            false,
        ),
        (
            "log:listening on :\\d+",
            Readiness::Log("listening on :\\d+".to_owned()),
            false,
        ),
    ] {
        let definition = service(&format!("ready = '{text}'"));
        assert_eq!(
            (definition.start.readiness, definition.ready_by_health),
            (readiness, by_health)
        );
    }
}

#[test]
fn dependencies_have_three_forms() {
    let hall = good(
        "services.a.path = 'a'\nservices.b.path = 'b'\n\
         [services.list]\npath = 'c'\ndepends_on = ['b', 'a']\n\
         [services.table]\npath = 'c'\n\
         depends_on = { b = 'completed', a = { condition = 'ready', required = false }, list = {} }\n",
    );
    let told = |index: usize| -> Vec<_> {
        let told =
            |d: &Dependency| format!("{} {} {}", d.service_name, d.condition.as_str(), d.required);
        hall.config.services[index]
            .depends_on
            .iter()
            .map(told)
            .collect()
    };
    assert_eq!(told(2), ["b started true", "a started true"]);
    assert_eq!(
        told(3),
        ["b completed true", "a ready false", "list started true"]
    );
}

#[test]
fn paths_are_relative_to_the_hall_file() {
    let hall = good(
        "[services.a]\npath = 'nginx'\nhealth.http = 'unix:run/a.sock:/health'\n\
         [services.b]\npath = '/proc/self/exe'\nhealth.grpc = 'unix:run/b.sock'\nworking_dir = 'www'\n",
    );
    let [a, b] = &hall.config.services[..] else {
        panic!("two services")
    };
    assert_eq!(
        (&a.path, &b.path),
        (&"nginx".into(), &"/proc/self/exe".into())
    );
    assert_eq!(a.start.working_dir.as_deref(), Some(Path::new("/srv")));
    assert_eq!(b.start.working_dir.as_deref(), Some(Path::new("/srv/www")));
    assert!(matches!(&a.monitor.liveness.strategy,
        HealthCheckStrategy::Http { url, .. } if url == "unix:/srv/run/a.sock:/health"));
    assert!(matches!(&b.monitor.liveness.strategy,
        HealthCheckStrategy::Grpc { address, .. } if address == "unix:/srv/run/b.sock"));
}

#[test]
fn state_and_socket_tell_two_halls_of_one_user_apart() {
    let user = environment();
    let root = Environment {
        uid: 0,
        ..environment()
    };
    let bare = Environment {
        xdg_runtime_dir: None,
        ..environment()
    };
    let xdg = Environment {
        xdg_state_home: Some("/state".into()),
        ..environment()
    };
    for (environment, state_dir, socket) in [
        (
            user,
            "/home/odin/.local/state/gladsheim/1d615d48",
            "/run/user/1000/gladsheim/gladsheim-1d615d48.sock",
        ),
        (
            root,
            "/var/lib/gladsheim/1d615d48",
            "/run/gladsheim/gladsheim-1d615d48.sock",
        ),
        (
            bare,
            "/home/odin/.local/state/gladsheim/1d615d48",
            "/home/odin/.local/state/gladsheim/1d615d48/gladsheim.sock",
        ),
        (
            xdg,
            "/state/gladsheim/1d615d48",
            "/run/user/1000/gladsheim/gladsheim-1d615d48.sock",
        ),
    ] {
        let hall =
            Hall::parse("", Path::new("/srv/gladsheim.toml"), &environment).expect("is good");
        assert_eq!(
            (hall.state_dir, hall.socket),
            (state_dir.into(), socket.into())
        );
        let other = Hall::parse("", Path::new("/srv/b.toml"), &environment).expect("is good");
        assert_ne!(other.state_dir, PathBuf::from(state_dir));
    }
}

#[test]
fn what_asks_for_nothing_is_not_refused() {
    good(
        "on_file_change = false\naccess = { read = [], control = [] }\n\
         groups.web.strategy = 'one_for_one'\n\
         services.a = { path = 'a', sockets = [], restart_group = 'web' }\n",
    );
}

#[test]
fn a_service_stands_where_its_own_section_does() {
    let hall = good(
        "\u{feff}[services.z.health]\ntcp = 'localhost:80'\n[services.a]\npath = 'a'\n\
         [services.z]\npath = 'z'\r\nargs = []\n",
    );
    let names: Vec<_> = hall
        .config
        .services
        .iter()
        .map(|s| s.name.as_str())
        .collect();
    assert_eq!(names, ["a", "z"]);
    let at = |line, column| Some(Position { line, column });
    assert_eq!(hall.position("a", ""), at(3, 11));
    assert_eq!(hall.position("z", "path"), at(6, 8));
    assert_eq!(hall.position("z", "env"), None);
}
