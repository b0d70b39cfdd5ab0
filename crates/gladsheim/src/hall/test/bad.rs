//! Files with errors: what is said, and where.

use std::fs;

use super::*;

/// Checks that a file is refused with exactly these lines, each of them `line:column: text`.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let diagnostics = match parse(text) {
        Ok(hall) => hall.warnings,
        Err(error) => error.diagnostics,
    };
    let told: Vec<_> = diagnostics
        .iter()
        .map(|diagnostic| {
            let line = diagnostic.to_string();
            line.strip_prefix("/srv/gladsheim.toml:")
                .unwrap_or(&line)
                .to_owned()
        })
        .collect();
    assert_eq!(told, expected, "{text}");
}

/// Checks a file with one service `a`, whose third line is `line`.
#[track_caller]
fn check_service(line: &str, expected: &[&str]) {
    check(&format!("[services.a]\npath = 'a'\n{line}\n"), expected);
}

#[test]
fn all_errors_are_told_at_once_in_the_order_of_the_file() {
    check(
        "platfrom = 'asgard'\n\
         [loader]\n\
         startup_timeout = '0s'\n\
         [services.thor]\n\
         args = 'x'\n\
         intervall = 1\n\
         depends_on = ['frkei']\n\
         [services.freki]\n\
         path = 5\n",
        &[
            "1:1: unknown key `platfrom` in the hall file; did you mean `platform`?",
            "3:19: startup_timeout: must be longer than nothing",
            "4:1: [services.thor] has no `path`",
            "5:8: args: expected an array, found a string",
            "6:1: unknown key `intervall` in [services.thor]",
            "7:15: thor depends on `frkei`, which is no service here; did you mean `freki`?",
            "9:8: path: expected a string, found an integer",
        ],
    );
}

#[test]
fn what_is_no_toml_is_told_by_the_parser() {
    check("a = 1\nb = = 2\n", &["2:5: extra `=`, expected nothing"]);
    check("a = 1\na = 2\n", &["2:1: duplicate key"]);
    check("[services.a\n", &["1:12: unclosed table, expected `]`"]);
}

#[test]
fn columns_count_characters() {
    check(
        "[services.'ä'] # ö\npath = 'ü'\nargs = ['ß', 1]\n",
        &[
            "1:11: `ä` is not a name: a letter or digit first, then letters, digits, `.`, `_` and `-`",
            "3:14: args: expected a string, found an integer",
        ],
    );
}

#[test]
fn hostile_names_stay_on_one_line() {
    check(
        "[services.\"\\u001B[2J\"]\npath = 'a'\nenv = { \"A\\nB\" = 1 }\n",
        &[
            "1:11: `\u{fffd}[2J` is not a name: a letter or digit first, then letters, digits, `.`, `_` and `-`",
            "3:18: A\u{fffd}B: expected a string, found an integer",
        ],
    );
}

#[test]
fn names_of_services_are_checked() {
    for (name, what) in [
        ("\"a/b\"", "`a/b` is not a name"),
        ("\"\"", "`` is not a name"),
        (&"x".repeat(300), "has 300 bytes; at most 64 are allowed"),
    ] {
        let error = parse(&format!("[services.{name}]\npath = 'a'\n")).expect_err("is bad");
        let text = error.to_string();
        assert!(
            text.starts_with("/srv/gladsheim.toml:1:11: ") && text.contains(what),
            "{text}"
        );
    }
}

#[test]
fn cycles_are_told_whole() {
    check(
        "services.a = { path = 'a', depends_on = ['b'] }\n\
         services.b = { path = 'b', depends_on = ['c'] }\n\
         services.c = { path = 'c', depends_on = ['a', 'd'] }\n\
         services.d = { path = 'd', depends_on = { d = 'started' } }\n\
         services.e = { path = 'd', depends_on = ['a', 'd', 'x'] }\n",
        &[
            "3:42: dependency cycle: a -> b -> c -> a",
            "4:43: dependency cycle: d -> d",
            "5:52: e depends on `x`, which is no service here",
        ],
    );
}

#[test]
fn conditions_are_checked() {
    check(
        "services.a.path = 'a'\nservices.b = { path = 'b', depends_on = { a = 'runs' } }\n",
        &["2:47: a: \"runs\" is none of started, ready, healthy, completed"],
    );
}

#[test]
fn a_diamond_is_no_cycle() {
    check(
        "services.a = { path = 'a', depends_on = ['b', 'c'] }\n\
         services.b = { path = 'b', depends_on = ['d'] }\n\
         services.c = { path = 'c', depends_on = ['d'] }\n\
         services.d = { path = 'd' }\n",
        &[],
    );
}

#[test]
fn a_long_chain_is_walked_without_recursion() {
    let mut text: String = (1..20_000)
        .map(|index| {
            format!(
                "s{index} = {{ path = 'a', depends_on = ['s{}'] }}\n",
                index - 1
            )
        })
        .collect();
    text.insert_str(0, "[services]\ns0 = { path = 'a' }\n");
    check(&text, &[]);
}

#[test]
fn a_health_check_has_exactly_one_way() {
    let all = "http, grpc, process, tcp, exec";
    check_service(
        "health.interval = '1s'",
        &[&format!(
            "3:1: [services.a.health] needs exactly one of {all}; it has none"
        )],
    );
    check_service(
        "readiness = { tcp = 'a:1', http = 'http://a' }",
        &[&format!(
            "3:13: [services.a.readiness] needs exactly one of {all}; it has http and tcp"
        )],
    );
    check_service(
        "health.process = false",
        &["3:18: process: is the default and cannot be turned off, only replaced"],
    );
    check_service(
        "health = { tcp = 'a:1', service = 'b' }",
        &["3:35: service: goes with `grpc` only"],
    );
    check_service(
        "health.exec = []",
        &["3:15: exec: the program's name is missing"],
    );
}

#[test]
fn impossible_values_are_told() {
    for (line, expected) in [
        (
            "path2 = 1",
            "3:1: unknown key `path2` in [services.a]; did you mean `path`?",
        ),
        (
            "startup_timeout = '0s'",
            "3:19: startup_timeout: must be longer than nothing",
        ),
        (
            "startup_timeout = 5",
            "3:19: startup_timeout: expected a duration such as \"500ms\", \"5s\" or \"1m30s\", found an integer",
        ),
        (
            "shutdown_timeout = '9999999h'",
            "3:20: shutdown_timeout: \"9999999h\" is longer than a year",
        ),
        (
            "umask = '9'",
            "3:9: umask: expected an octal mask from \"000\" to \"777\", found \"9\"",
        ),
        (
            "umask = 18",
            "3:9: umask: expected a string, found an integer",
        ),
        ("nice = 20", "3:8: nice: 20 is not between -20 and 19"),
        (
            "nice = 99999999999999999999",
            "3:8: nice: 99999999999999999999 is not between -20 and 19",
        ),
        (
            "oom_score_adj = -1001",
            "3:17: oom_score_adj: -1001 is not between -1000 and 1000",
        ),
        (
            "sha256 = 'abc'",
            "3:10: sha256: expected a SHA-256: 64 hexadecimal digits",
        ),
        (
            "args = [\"a\\u0000\"]",
            "3:9: args: a NUL character is not allowed",
        ),
        ("user = ''", "3:8: user: must not be empty"),
        (
            "env = { A = 1 }",
            "3:13: A: expected a string, found an integer",
        ),
        (
            "env = { 'A=B' = '' }",
            "3:9: `A=B` cannot be the name of a variable",
        ),
        (
            "ready = 'log:['",
            "3:9: ready: \"[\" is no regular expression: found unclosed character class",
        ),
        (
            "ready = 'delay:x'",
            "3:9: ready: expected a duration such as \"500ms\", \"5s\" or \"1m30s\", found \"x\"",
        ),
        (
            "ready = 'sometimes'",
            "3:9: ready: \"sometimes\" is none of none, notify, health, log:REGEX, delay:1s",
        ),
        (
            "capabilities = ['CAP_NET_ADMN']",
            "3:17: capabilities: \"CAP_NET_ADMN\" is no capability; did you mean `CAP_NET_ADMIN`?",
        ),
        (
            "rlimits = { nofiles = 1 }",
            "3:13: `nofiles` is no resource limit; did you mean `nofile`?",
        ),
        (
            "rlimits = { core = -1 }",
            "3:20: core: -1 is not between 0 and 18446744073709551615",
        ),
        (
            "rlimits = { core = 'unlimted' }",
            "3:20: core: \"unlimted\" is none of unlimited; did you mean `unlimited`?",
        ),
        ("depends_on = ['a']", "3:15: dependency cycle: a -> a"),
        (
            "restart_group = 'web'",
            "3:17: restart_group: there is no [groups.web]",
        ),
        (
            "restart.policy = 'allways'",
            "3:18: policy: \"allways\" is none of always, on-failure, never; did you mean `always`?",
        ),
        (
            "restart.backoff_factor = 0.5",
            "3:26: backoff_factor: must be 1 or more",
        ),
        (
            "restart.backoff_factor = nan",
            "3:26: backoff_factor: must be 1 or more",
        ),
        (
            "restart.jitter = 2",
            "3:18: jitter: must be between 0 and 1",
        ),
        (
            "restart = { backoff = '2s', backoff_max = '1s' }",
            "3:43: backoff_max: is shorter than the first delay, 2s",
        ),
        (
            "restart.success_exit_codes = [256]",
            "3:31: success_exit_codes: 256 is not between 0 and 255",
        ),
        (
            "restart.window = '0s'",
            "3:18: window: must be longer than nothing",
        ),
        (
            "limits.memory = '10MB'",
            "3:17: memory: \"10MB\" could be read in two ways: the units are KiB, MiB, GiB and TiB",
        ),
        (
            "limits.memory = 1",
            "3:17: memory: 1 bytes are less than one page (4096); 0 is unlimited",
        ),
        ("limits.memory = -1", "3:17: memory: must not be negative"),
        (
            "limits.cpu_percent = 100.1",
            "3:22: cpu_percent: must be between 0 and 100",
        ),
        (
            "limits.cpu_warning_percent = -1",
            "3:30: cpu_warning_percent: must be between 0 and 100",
        ),
        (
            "limits = { cpu_percent = 1, cpus = 1 }",
            "3:10: [services.a.limits] has both `cpu_percent` and `cpus`; they are the same limit",
        ),
        (
            "limits.cpus = 5",
            "3:15: warning: cpus: this machine has 4, so nothing is limited",
        ),
        (
            "limits.pressure.memory = 101",
            "3:26: memory: 101 is not between 0 and 100",
        ),
        (
            "limits.pressure.disk = 1",
            "3:17: unknown key `disk` in [services.a.limits.pressure]",
        ),
        (
            "limits = { memory = '1MiB', memory_high = '2MiB' }",
            "3:10: `memory_high` is above `memory`, where it is never reached",
        ),
        (
            "logs.max_size = 0",
            "3:17: max_size: must be more than nothing",
        ),
        (
            "logs.max_files = 0",
            "3:18: max_files: 0 is not between 1 and 1000",
        ),
        (
            "health.http = 'https://a/'",
            "3:15: http: https is not checked; use http on the loopback address",
        ),
        (
            "health.http = 'a:80'",
            "3:15: http: expected a URL such as \"http://127.0.0.1:8081/health\", found \"a:80\"",
        ),
        (
            "health.http = 'unix:/run/a.sock'",
            "3:15: http: expected \"unix:SOCKET:/PATH\", found \"unix:/run/a.sock\"",
        ),
        (
            "health.grpc = 'nowhere'",
            "3:15: grpc: expected an address such as \"127.0.0.1:8081\", found \"nowhere\"",
        ),
        (
            "health.tcp = 'a:99999'",
            "3:14: tcp: expected an address such as \"127.0.0.1:8081\", found \"a:99999\"",
        ),
        (
            "health = { tcp = 'a:1', interval = '0s' }",
            "3:36: interval: must be longer than nothing",
        ),
        (
            "health = { tcp = 'a:1', failure_threshold = 0 }",
            "3:45: failure_threshold: 0 is not between 1 and 4294967295",
        ),
    ] {
        check_service(line, &[expected]);
    }
    check_service(
        "stop_signal = 'SIGTREM'",
        &[
            "3:15: stop_signal: \"SIGTREM\" is none of SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGUSR1, SIGUSR2, \
         SIGTERM, SIGCONT, SIGSTOP, SIGWINCH, SIGALRM, SIGABRT; did you mean `SIGTERM`?",
        ],
    );
}

#[test]
fn impossible_settings_of_the_hall_are_told() {
    for (text, expected) in [
        (
            "platform = 'vanaheim'",
            "1:12: platform: \"vanaheim\" is none of midgard, alfheim, asgard, ragnarok",
        ),
        (
            "services = 1",
            "1:12: services: expected a table, found an integer",
        ),
        (
            "services.a = 1",
            "1:14: a: expected a table, found an integer",
        ),
        ("[[services.a]]", "1:1: a: expected a table, found an array"),
        (
            "health.check_interval = '0s'",
            "1:25: check_interval: must be longer than nothing",
        ),
        (
            "resources.stop_services_below_battery_percent = 101",
            "1:49: stop_services_below_battery_percent: 101 is not between 0 and 100",
        ),
        (
            "resources.backend = 'proc'",
            "1:21: backend: \"proc\" is none of auto, cgroup, procfs, sysinfo; did you mean `procfs`?",
        ),
        (
            "resources.battery_aware = true",
            "1:27: warning: battery_aware: has an effect on the platform alfheim only",
        ),
        (
            "groups.web.strategy = 'one'",
            "1:23: strategy: \"one\" is none of one_for_one, rest_for_one, one_for_all",
        ),
        ("state_dir = ''", "1:13: state_dir: must not be empty"),
        ("groups.a.x = 1", "1:10: unknown key `x` in [groups.a]"),
    ] {
        check(text, &[expected]);
    }
}

#[test]
fn addresses_and_names_that_make_no_sense_are_named() {
    check_service(
        "sockets = ['8080']",
        &[
            "3:12: sockets: expected \"tcp:127.0.0.1:8081\", \"udp:…\" or \"unix:PATH\", found \"8080\"",
        ],
    );
    check(
        "metrics = '0.0.0.0:1'\naccess.read = ['bob', 'user:']\n",
        &[
            "1:11: metrics: 0.0.0.0 is no loopback address, and nobody who asks there is asked who they are",
            "2:16: read: expected \"user:NAME\", \"group:NAME\" or \"cert:NAME\", found \"bob\"",
            "2:23: read: the name is missing in \"user:\"",
        ],
    );
}

#[test]
fn a_socket_whose_path_is_too_long_is_told_with_the_way_out() {
    let way_out = "name a shorter one, for example socket = \"/run/gladsheim/hall.sock\"";
    let long = "x".repeat(120);
    let named = parse(&format!("socket = '{long}'\n"))
        .expect_err("is too long")
        .to_string();
    assert!(
        named.contains(":1:10: socket: ") && named.ends_with(way_out),
        "{named}"
    );

    let environment = Environment {
        xdg_runtime_dir: Some(format!("/{long}").into()),
        ..environment()
    };
    let default = Hall::parse("", Path::new("/srv/gladsheim.toml"), &environment)
        .expect_err("is too long")
        .to_string();
    assert!(
        default.contains(":1:1: ") && default.ends_with(way_out),
        "{default}"
    );
}

#[test]
fn without_a_home_the_state_folder_must_be_named() {
    let homeless = Environment {
        home: None,
        ..environment()
    };
    let parse = |text| Hall::parse(text, Path::new("/srv/gladsheim.toml"), &homeless);
    let error = parse("").expect_err("has no home").to_string();
    assert!(error.contains("name one by `state_dir`"), "{error}");
    assert!(parse("state_dir = 'state'").is_ok());
}

#[test]
fn what_cannot_be_read_is_told_without_a_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let binary = folder.path().join("binary.toml");
    fs::write(&binary, b"a = 1\nb = '\xff'\n").expect("is written");
    for (path, message) in [
        (
            folder.path().join("missing.toml"),
            "there is no such file; name another one with --hall, or write it: an empty file is a hall \
             without services",
        ),
        (folder.path().to_path_buf(), "is no regular file"),
        ("/dev/null".into(), "is no regular file"),
        (binary, "is not UTF-8 text: see line 2"),
    ] {
        let error = Hall::load(&path, &environment()).expect_err("is unreadable");
        assert_eq!(error.to_string(), format!("{}: {message}", path.display()));
    }
}
