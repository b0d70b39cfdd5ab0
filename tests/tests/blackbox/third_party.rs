//! Programs that know nothing of us: nginx with an HTTP check, redis with a process check.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use gladsheim_tests::{TestDaemon, free_port, skip, wait_until};
use serde_json::Value;

/// The program, or a note that the test was skipped.
fn installed(name: &str, package: &str) -> Option<PathBuf> {
    let found = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
        .map(|folder| PathBuf::from(folder).join(name))
        .into_iter()
        .find(|path| path.exists());
    if found.is_none() {
        skip(&format!("{name} is not installed (Debian: {package})"));
    }
    found
}

fn answer_of_nginx(port: u16) -> Option<String> {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).ok()?;
    connection.write_all(b"GET /health HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    answer.contains("200 OK").then_some(answer)
}

fn answer_of_redis(hall: &TestDaemon) -> Option<()> {
    let mut connection = UnixStream::connect(hall.path("redis.sock")).ok()?;
    connection.write_all(b"PING\r\n").ok()?;
    let mut answer = [0; 5];
    connection.read_exact(&mut answer).ok()?;
    (&answer == b"+PONG").then_some(())
}

/// The leader is killed from outside, and a new run follows.
#[track_caller]
fn kill_and_see_it_back(hall: &TestDaemon, name: &str) -> Value {
    let before = hall.status(name);
    hall.cli(["signal", name, "SIGKILL"]).expect_code(0);
    let back = hall.wait_for_status(name, "back and healthy", |status| {
        status["restart_count"] == 1
            && status["health"] == "healthy"
            && status["state"] == "running"
    });
    assert_ne!(back["process_id"], before["process_id"]);
    assert_eq!(back["signal"], 9, "{back}");
    back
}

#[track_caller]
fn stop_and_see_nothing_left(hall: &TestDaemon, name: &str) {
    hall.cli(["stop", name]).expect_code(0);
    let stopped = hall.status(name);
    assert_eq!(stopped["state"], "stopped", "{stopped}");
    assert_eq!(stopped["exit_code"], 0, "it ended gracefully: {stopped}");
    assert!(hall.processes().is_empty(), "{:?}", hall.processes());
}

/// A hall with nginx; `/health` does as `health` says.
fn nginx(program: &Path, health: &str) -> (TestDaemon, u16) {
    let port = free_port();
    let mut hall = TestDaemon::prepare(&format!(
        r#"
        [services.nginx]
        path = "{nginx}"
        args = ["-e", "stderr", "-p", ".", "-c", "nginx.conf"]
        ready = "health"
        stop_signal = "SIGQUIT"
        restart = {{ backoff = "10ms" }}
        health = {{ http = "http://127.0.0.1:{port}/health", interval = "100ms" }}
        "#,
        nginx = program.display(),
    ));
    let folder = hall.path("");
    let folder = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {folder}/nginx.tmp;\n"))
        .collect();
    let configuration = format!(
        "user root;\ndaemon off;\nworker_processes 2;\npid {folder}/nginx.pid;\nerror_log stderr;\n\
         events {{ worker_connections 64; }}\n\
         http {{\naccess_log off;\n{temporary}\
         server {{ listen 127.0.0.1:{port}; location /health {{ {health} }} }}\n}}\n"
    );
    fs::write(hall.path("nginx.conf"), configuration).unwrap();
    hall.spawn();
    (hall, port)
}

#[test]
fn nginx_is_started_checked_brought_back_and_stopped() {
    let Some(program) = installed("nginx", "nginx-light") else {
        return;
    };
    let (hall, port) = nginx(&program, r#"return 200 "well\n";"#);
    hall.cli(["wait", "nginx", "--for", "healthy"])
        .expect_code(0);
    answer_of_nginx(port).expect("answers once it is healthy");
    assert!(
        hall.processes().len() >= 3,
        "a master and its workers: {:?}",
        hall.processes()
    );

    // Its workers survive their master, and hold the port, unless somebody ends them.
    kill_and_see_it_back(&hall, "nginx");
    answer_of_nginx(port).expect("answers again");
    stop_and_see_nothing_left(&hall, "nginx");
}

#[test]
fn redis_is_started_checked_brought_back_and_stopped() {
    let Some(redis) = installed("redis-server", "redis-server") else {
        return;
    };
    let hall = TestDaemon::start(&format!(
        r#"
        [services.redis]
        path = "{redis}"
        args = ["--port", "0", "--unixsocket", "redis.sock", "--save", "", "--appendonly", "no", "--daemonize", "no"]
        restart = {{ backoff = "10ms" }}
        health = {{ process = true }}
        "#,
        redis = redis.display(),
    ));
    hall.cli(["wait", "redis", "--for", "healthy"])
        .expect_code(0);
    wait_until("redis to answer", || answer_of_redis(&hall));

    kill_and_see_it_back(&hall, "redis");
    wait_until("redis to answer again", || answer_of_redis(&hall));
    stop_and_see_nothing_left(&hall, "redis");
}

#[test]
fn nginx_that_turns_to_503_is_restarted() {
    let Some(program) = installed("nginx", "nginx-light") else {
        return;
    };
    let (hall, _) = nginx(
        &program,
        r#"root .; if (-f $document_root/down) { return 503; } return 200 "well\n";"#,
    );
    let before = hall.wait_for_status("nginx", "healthy", |status| status["health"] == "healthy");
    fs::write(hall.path("down"), "").unwrap();
    let ended = hall.wait_for_status("nginx", "ended", |status| status["cause"] == "probe");
    let reason = ended["error_message"].as_str().unwrap_or_default();
    assert!(reason.contains("HTTP 503 Service"), "{ended}");
    fs::remove_file(hall.path("down")).unwrap();
    hall.wait_for_status("nginx", "healthy again", |status| {
        status["health"] == "healthy" && status["process_id"] != before["process_id"]
    });
}
