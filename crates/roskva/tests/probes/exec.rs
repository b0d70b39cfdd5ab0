//! Command checks.

use std::{io, path::Path, time::Duration};

use roskva::{HealthCheckStrategy, HealthStatus};

use crate::world::{PATIENT, SHORT, assert_health, check, exec};

#[tokio::test]
async fn exec_exit_code_is_the_verdict_and_the_last_line_the_message() {
    use HealthStatus::{Healthy, Unhealthy};
    for (script, status, text) in [
        ("echo one; echo all well; echo", Healthy, "all well"),
        (
            "echo first; echo disk is full >&2; exit 3",
            Unhealthy,
            "sh: exit status: 3: disk is full",
        ),
        ("kill -KILL $$", Unhealthy, "signal: 9"),
    ] {
        assert_health(&check(exec(script, PATIENT)).await, status, text);
    }
    let command = vec!["/no/such/program".to_owned()];
    let missing = HealthCheckStrategy::Exec {
        command,
        timeout: PATIENT,
    };
    assert_health(&check(missing).await, Unhealthy, "No such file");
}

#[tokio::test]
async fn exec_with_output_without_end_is_bounded() {
    let health = check(exec("yes | head -c 50000000", PATIENT)).await;
    assert_health(&health, HealthStatus::Healthy, "y");
    assert!(health.message.len() <= 200);
    let health = check(exec("yes", SHORT)).await;
    assert_health(&health, HealthStatus::Timeout, "no answer within 200ms");
}

/// Waits until no process holds the FIFO open for writing: whoever opened it has died.
async fn writers_are_gone(fifo: tokio::net::unix::pipe::Receiver) {
    let gone = async {
        let mut buffer = [0; 64];
        loop {
            fifo.readable().await.expect("readable");
            match fifo.try_read(&mut buffer) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
    };
    tokio::time::timeout(PATIENT, gone)
        .await
        .expect("the whole tree dies");
}

fn make_fifo(path: &Path) {
    let status = std::process::Command::new("mkfifo").arg(path).status();
    assert!(status.expect("mkfifo runs").success());
}

#[tokio::test]
async fn exec_leaves_nobody_behind_at_the_timeout_and_after_the_exit() {
    let folder = tempfile::tempdir().expect("a folder");
    for (script, status) in [
        (
            "echo here; (sleep 1000; true) & sleep 1000",
            HealthStatus::Timeout,
        ),
        ("echo here; sleep 1000 & exit 1", HealthStatus::Unhealthy),
        ("echo here; sleep 1000 & exit 0", HealthStatus::Healthy),
    ] {
        let path = folder.path().join("fifo");
        make_fifo(&path);
        let fifo = tokio::net::unix::pipe::OpenOptions::new()
            .open_receiver(&path)
            .expect("opens");
        // The whole tree holds the FIFO open; the first line shows that somebody did.
        let script = format!("exec 9>{}; echo here >&9; {script}", path.display());
        let timeout = if status == HealthStatus::Timeout {
            Duration::from_secs(1)
        } else {
            PATIENT
        };
        let health = check(exec(&script, timeout)).await;
        assert_eq!(health.status, status, "{}", health.message);
        writers_are_gone(fifo).await;
        std::fs::remove_file(&path).expect("removed");
    }
}

/// Waits until no process has this number, not even a zombie.
async fn is_reaped(pid: &str) {
    let gone = async {
        while Path::new("/proc").join(pid).exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let gone = tokio::time::timeout(PATIENT, gone).await;
    gone.unwrap_or_else(|_| panic!("process {pid} is still there"));
}

#[tokio::test]
async fn exec_leaves_no_zombie_even_where_orphans_come_back() {
    // As the daemon does: what the command leaves behind becomes our child.
    nix::sys::prctl::set_child_subreaper(true).expect("is a subreaper");
    let health = check(exec("sleep 1000 & echo $$ $!; exit 1", PATIENT)).await;
    let pids = health.message.rsplit(": ").next().expect("the last line");
    assert_eq!(pids.split(' ').count(), 2, "{}", health.message);
    for pid in pids.split(' ') {
        is_reaped(pid).await;
    }

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pids");
    let script = format!("sleep 1000 & echo $$ $! > {}; sleep 1000", file.display());
    let health = check(exec(&script, Duration::from_secs(1))).await;
    assert_eq!(health.status, HealthStatus::Timeout);
    let pids = std::fs::read_to_string(file).expect("the script ran");
    for pid in pids.split_whitespace() {
        is_reaped(pid).await;
    }
}
