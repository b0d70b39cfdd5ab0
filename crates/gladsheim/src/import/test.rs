//! What becomes of whole files.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::{Kind, read};
use crate::hall::{Environment, Hall};

/// Imports one file beside which the hall file will lie, and reads the result as a hall.
#[track_caller]
fn import(name: &str, text: &str, kind: Option<Kind>) -> (String, Hall) {
    let folder = TempDir::new().expect("a temporary folder");
    let folder_path = folder.path().canonicalize().expect("is there");
    let file = folder_path.join(name);
    fs::write(&file, text).expect("is writable");
    let mut sheet = read(&[file], kind, &folder_path).unwrap_or_else(|error| panic!("{error}"));
    let text = sheet.render("head", |_| Vec::new());
    let environment = Environment::of_process();
    match Hall::parse(&text, &folder_path.join("gladsheim.toml"), &environment) {
        Ok(hall) => (text, hall),
        Err(error) => panic!("{error}\n{text}"),
    }
}

#[track_caller]
fn says(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(
            text.lines().any(|found| found == *line),
            "{line}\nis not in\n{text}"
        );
    }
}

#[test]
fn a_procfile_gives_each_process_a_port() {
    let (text, hall) = import(
        "Procfile",
        "# all\nweb: bin/web -p $PORT\nworker: bin/work\n",
        None,
    );
    says(
        &text,
        &[
            "[services.web]",
            r#"args = ["-c", "exec bin/web -p $PORT"]"#,
            r#"env = { PORT = "5000" }"#,
            r#"path = "bin/work""#,
        ],
    );
    assert_eq!(hall.config.services.len(), 2);
}

#[test]
fn supervisord_s_programs_keep_what_a_hall_can_say() {
    let text = "\
[supervisord]
nodaemon=true
[program:web]
command=/usr/bin/web --port=80%(process_num)02d ; a comment
process_name=%(program_name)s-%(process_num)d
numprocs=2
directory=/srv/web
user=www-data
autorestart=unexpected
exitcodes=0,2
startsecs=3
startretries=5
stopsignal=QUIT
stopwaitsecs=20
stopasgroup=true
environment=A=\"x,y\",B=%(ENV_HOME)s
stdout_logfile=/var/log/web.log
stdout_logfile_maxbytes=5MB
[program:cron]
command=cron -f
autostart=false
autorestart=true
environment=KEY='v 1',OTHER=2
[group:site]
programs=web,cron
[unix_http_server]
file=/run/supervisor.sock
";
    let (text, hall) = import("supervisord.conf", text, None);
    says(
        &text,
        &[
            "[services.web-0]",
            "[services.web-1]",
            r#"args = ["--port=8001"]"#,
            r#"working_dir = "/srv/web""#,
            r#"ready = "delay:3s""#,
            r#"stop_signal = "SIGQUIT""#,
            r#"shutdown_timeout = "20s""#,
            "success_exit_codes = [0, 2]",
            "max_attempts = 5",
            r#"max_size = "5MiB""#,
            r#"group = "site""#,
            r#"env = { KEY = "v 1", OTHER = "2" }"#,
            "autostart = false",
            r#"policy = "always""#,
        ],
    );
    for remark in [
        "environment (line 16)",
        "stdout_logfile (line 17)",
        "[supervisord] (line 2)",
    ] {
        assert!(
            text.contains(&format!("# not carried over: {remark}")),
            "{remark}:\n{text}"
        );
    }
    assert_eq!(hall.config.services.len(), 3);
}

#[test]
fn process_compose_keeps_its_dependencies_and_probes() {
    let text = "\
version: \"0.5\"
environment:
  - 'ALL=1'
log_level: debug
processes:
  db:
    command: bin/db --port 5432
    environment: { PGDATA: data }
    availability: { restart: always, backoff_seconds: 2, max_restarts: 5 }
    readiness_probe:
      exec: { command: 'pg_isready -q' }
      initial_delay_seconds: 3
      period_seconds: 2
      failure_threshold: 4
    shutdown: { signal: 2, timeout_seconds: 7 }
  migrate:
    command: 'bin/migrate && echo done'
    depends_on:
      db: { condition: process_healthy }
  web:
    command: bin/web
    working_dir: /srv/web
    depends_on:
      migrate: { condition: process_completed_successfully }
      db: { condition: process_started }
    liveness_probe:
      http_get: { host: 127.0.0.1, port: 8080, path: health }
    ready_log_line: 'listening (on)'
    is_tty: true
    replicas: 2
";
    let (text, hall) = import("process-compose.yaml", text, None);
    says(
        &text,
        &[
            r#"exec = ["pg_isready", "-q"]"#,
            r#"start_period = "3s""#,
            r#"ready = "health""#,
            r#"stop_signal = "SIGINT""#,
            r#"shutdown_timeout = "7s""#,
            r#"backoff = "2s""#,
            r#"depends_on = { db = "ready" }"#,
            r#"depends_on = { migrate = "completed", db = "started" }"#,
            r#"http = "http://127.0.0.1:8080/health""#,
            r"ready = 'log:listening \(on\)'",
            r#"args = ["-c", "exec bin/web"]"#,
            "[services.web-1]",
            "# not carried over: is_tty (line 29)",
            "# not carried over: log_level (line 4): output is kept below `state_dir`",
        ],
    );
    let db = hall
        .config
        .services
        .iter()
        .find(|service| service.name == "db")
        .expect("is there");
    assert_eq!(db.start.env_vars.len(), 2, "{db:?}");
    assert_eq!(db.monitor.restart.max_attempts, 5, "{db:?}");
}

#[test]
fn units_keep_their_order_and_limits() {
    let unit = "\
[Unit]
Description=A web server
After=network.target db.service
[Service]
Type=notify
ExecStartPre=/usr/bin/web --check
ExecStart=/usr/bin/web $OPTS
Restart=on-failure
RestartSec=100ms
SuccessExitStatus=143 SIGKILL
User=www-data
Environment=\"A=b c\" D=e
LimitNOFILE=1024:65536
MemoryMax=512M
CPUQuota=150%
UMask=0027
ProtectSystem=full
AmbientCapabilities=CAP_NET_BIND_SERVICE
WatchdogSec=30
[Install]
WantedBy=multi-user.target
";
    let (text, hall) = import("web.service", unit, None);
    says(
        &text,
        &[
            "# A web server",
            r#"args = ["-c", "exec /usr/bin/web $OPTS"]"#,
            r#"pre_start = ["/usr/bin/web", "--check"]"#,
            r#"ready = "notify""#,
            r#"env = { A = "b c", D = "e" }"#,
            "rlimits = { nofile = 65536 }",
            r#"memory = "512MiB""#,
            "cpus = 1.5",
            r#"umask = "027""#,
            r#"watchdog = "30s""#,
            "success_exit_codes = [0, 143]",
            "# not carried over: it waits for db, which is not in this hall",
            "# not carried over: SuccessExitStatus=143 SIGKILL (line 10)",
        ],
    );
    assert_eq!(hall.config.services[0].name, "web");
}

#[test]
fn what_a_hall_file_does_not_accept_becomes_a_remark() {
    let folder = TempDir::new().expect("a temporary folder");
    let folder = folder.path().canonicalize().expect("is there");
    let file = folder.join("a.service");
    fs::write(
        &file,
        "[Service]\nExecStart=/bin/a\nKillSignal=SIGNONSENSE\nNice=99\n",
    )
    .expect("is writable");
    let mut sheet = read(&[file], None, &folder).expect("imports");
    let hall_file = folder.join("gladsheim.toml");
    let text = sheet.render("", |text| {
        match Hall::parse(text, &hall_file, &Environment::of_process()) {
            Ok(_) => Vec::new(),
            Err(error) => {
                let found = error.diagnostics.into_iter();
                found
                    .filter_map(|one| Some((one.position?.line, one.message)))
                    .collect()
            }
        }
    });
    assert!(
        !text.contains("stop_signal =") && !text.contains("nice ="),
        "{text}"
    );
    assert!(
        text.contains("SIGNONSENSE") && text.contains("nice"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_read_is_named_with_its_place() {
    let folder = TempDir::new().expect("a temporary folder");
    let folder = folder.path().canonicalize().expect("is there");
    let fails = |name: &str, text: &str| {
        let file = folder.join(name);
        fs::write(&file, text).expect("is writable");
        read(&[file], None, &folder)
            .expect_err("is refused")
            .to_string()
    };
    for (name, text, expected) in [
        (
            "Procfile",
            "web: a\nwhat\n",
            "Procfile:2: \"what\" is not NAME: COMMAND",
        ),
        ("a.service", "[Service]\nType=simple\n", "has no ExecStart"),
        (
            "a.yaml",
            "processes:\n  web: {}\n",
            "the process web has no command",
        ),
        ("b.yaml", "processes: [\n", "is no YAML"),
        ("c.yaml", "services: {}\n", "has no `processes`"),
        (
            "supervisord.conf",
            "[program:a]\nuser=x\n",
            "[program:a] has no command",
        ),
        ("notes.txt", "hello", "name its kind with --from"),
    ] {
        let message = fails(name, text);
        assert!(message.contains(expected), "{name}: {message}");
    }
    let missing = read(&[PathBuf::from("/nowhere/Procfile")], None, &folder);
    assert!(
        missing
            .expect_err("is not there")
            .to_string()
            .contains("cannot be read")
    );
}
