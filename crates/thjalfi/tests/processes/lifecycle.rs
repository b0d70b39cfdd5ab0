//! Start, stop, kill and restart of real processes.

use std::{
    os::unix::process::ExitStatusExt,
    time::{Duration, Instant},
};

use thjalfi::{
    ProcessEvent, Readiness, ServiceLoader, ServiceLoaderConfig, ServiceLoaderError, Signal,
    StartOptions,
};

use crate::support::{Hall, lives, script_options, soon, spawn_failure};

const STUBBORN: &str = "trap '' TERM; echo ready >$FACTS; while :; do sleep 0.01; done";

#[test]
fn a_loader_can_be_made_outside_of_a_runtime() {
    let loader = ServiceLoader::new(ServiceLoaderConfig::default());
    assert!(!loader.is_running("thor"));
    assert!(["cgroup", "session"].contains(&loader.containment()));
}

#[tokio::test]
async fn a_stubborn_service_is_killed_at_the_deadline() {
    let hall = Hall::new();
    let mut facts = hall.facts();
    let process = hall.run(STUBBORN, &facts).await;
    assert_eq!(facts.next().await, "ready");

    soon(hall.loader.stop_service("sh", Duration::from_millis(50)))
        .await
        .expect("stops");

    let exit = process.exited().await;
    assert_eq!(exit.status.unwrap().signal(), Some(9));
    assert!(exit.killed);
    assert!(hall.loader.get_process("sh").is_none());
    assert_eq!(
        process
            .send_signal(Signal::Hangup)
            .unwrap_err()
            .raw_os_error(),
        Some(libc::ESRCH)
    );
}

#[tokio::test]
async fn a_kill_overtakes_a_stop_and_both_callers_are_answered() {
    let hall = Hall::new();
    let mut facts = hall.facts();
    hall.run(STUBBORN, &facts).await;
    assert_eq!(facts.next().await, "ready");

    let begun = Instant::now();
    let (stopped, killed) = soon(async {
        tokio::join!(
            hall.loader.stop_service("sh", Duration::from_secs(1000)),
            hall.loader.force_kill_service("sh"),
        )
    })
    .await;

    stopped.expect("stops");
    killed.expect("is killed");
    assert!(begun.elapsed() < Duration::from_secs(10));
    let again = hall.loader.stop_service("sh", Duration::ZERO).await;
    assert!(
        matches!(again, Err(ServiceLoaderError::NotRunning(_))),
        "{again:?}"
    );
}

#[tokio::test]
async fn without_force_a_stubborn_service_is_left_running_and_the_caller_is_told() {
    let hall = Hall::with(|config| config.force_kill_after_timeout = false);
    let mut facts = hall.facts();
    let process = hall.run(STUBBORN, &facts).await;
    assert_eq!(facts.next().await, "ready");

    let stopped = soon(hall.loader.stop_service("sh", Duration::from_millis(20))).await;

    assert!(
        matches!(stopped, Err(ServiceLoaderError::ShutdownTimeout(_))),
        "{stopped:?}"
    );
    assert!(process.is_alive() && lives(process.pid));
    let started = hall
        .loader
        .start_service("sh", script_options("true"))
        .await;
    assert!(
        matches!(started, Err(ServiceLoaderError::AlreadyRunning(_))),
        "{started:?}"
    );
    soon(hall.loader.force_kill_service("sh")).await.unwrap();
}

#[tokio::test]
async fn a_start_during_a_slow_stop_waits_and_one_of_two_wins() {
    let hall = Hall::new();
    let mut facts = hall.facts();
    let script = "trap 'echo stopping >$FACTS; sleep 0.2; exit' TERM; echo ready >$FACTS; while :; do sleep 0.01; done";
    let first = hall.run(script, &facts).await;
    assert_eq!(facts.next().await, "ready");
    let loader = hall.loader.clone();
    let tasks = tokio_util::task::TaskTracker::new();
    let stop =
        tasks.spawn(async move { loader.stop_service("sh", Duration::from_secs(1000)).await });
    assert_eq!(facts.next().await, "stopping");

    let (one, two) = soon(async {
        tokio::join!(
            hall.loader
                .start_service("sh", script_options("exec sleep 1000")),
            hall.loader
                .start_service("sh", script_options("exec sleep 1000")),
        )
    })
    .await;

    stop.await.unwrap().expect("stops");
    assert!(!lives(first.pid));
    let (won, lost): (Vec<_>, Vec<_>) = [one, two].into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    assert!(
        matches!(lost[0], Err(ServiceLoaderError::AlreadyRunning(_))),
        "{lost:?}"
    );
    soon(hall.loader.force_kill_service("sh")).await.unwrap();
}

#[tokio::test]
async fn a_restart_gives_a_new_process_and_starts_what_did_not_run() {
    let hall = Hall::new();
    let options = script_options("exec sleep 1000");
    let first = soon(hall.loader.restart_service("sh", options.clone()))
        .await
        .expect("starts");
    let second = soon(hall.loader.restart_service("sh", options))
        .await
        .expect("restarts");
    assert_ne!(first.pid, second.pid);
    assert!(!first.is_alive() && second.is_alive());
    soon(hall.loader.force_kill_service("sh")).await.unwrap();
}

#[tokio::test]
async fn what_is_not_ready_in_time_is_killed() {
    let hall = Hall::new();
    let options = StartOptions {
        readiness: Readiness::Delay(Duration::from_secs(1000)),
        startup_timeout: Duration::from_millis(50),
        ..script_options("exec sleep 1000")
    };
    let started = soon(hall.loader.start_service("sh", options)).await;
    assert!(
        matches!(started, Err(ServiceLoaderError::StartupTimeout(_))),
        "{started:?}"
    );
    assert!(!hall.loader.is_running("sh"));
}

#[tokio::test]
async fn an_end_before_readiness_is_a_failed_start_that_says_how_it_ended() {
    let hall = Hall::new();
    let options = StartOptions {
        readiness: Readiness::Delay(Duration::from_secs(1000)),
        ..script_options("exit 7")
    };
    let text = spawn_failure(soon(hall.loader.start_service("sh", options)).await);
    assert_eq!(text, "sh: ended before it was ready (exit status: 7)");
}

#[tokio::test]
async fn all_waiters_get_the_exit_also_after_the_end() {
    let hall = Hall::new();
    let options = script_options("exit 4");
    let process = hall.loader.start_service("sh", options).await.unwrap();
    let (one, two) = soon(async { tokio::join!(process.wait(), process.wait()) }).await;
    assert_eq!(
        (one.unwrap().code(), two.unwrap().code()),
        (Some(4), Some(4))
    );
    assert_eq!(process.clone().wait().await.unwrap().code(), Some(4));
    assert!(!process.is_alive());
}

#[tokio::test]
async fn the_name_is_free_once_the_exit_is_told_and_the_events_tell_the_run() {
    let hall = Hall::new();
    let mut events = hall.loader.subscribe();
    for _ in 0..20 {
        let process = hall
            .loader
            .start_service("sh", script_options("exit 0"))
            .await
            .unwrap();
        soon(process.exited()).await;
    }
    let started = soon(events.recv()).await.unwrap();
    assert!(
        matches!(started, ProcessEvent::Started { pid, .. } if pid > 0),
        "{started:?}"
    );
    assert!(matches!(
        soon(events.recv()).await.unwrap(),
        ProcessEvent::Ready { .. }
    ));
    assert!(matches!(
        soon(events.recv()).await.unwrap(),
        ProcessEvent::Exited { .. }
    ));
}

#[tokio::test]
async fn a_signal_reaches_the_leader() {
    let hall = Hall::new();
    let mut facts = hall.facts();
    hall.run(
        "trap 'echo hup >$FACTS' HUP; echo ready >$FACTS; while :; do sleep 0.01; done",
        &facts,
    )
    .await;
    assert_eq!(facts.next().await, "ready");
    hall.loader.signal_service("sh", Signal::Hangup).unwrap();
    assert_eq!(facts.next().await, "hup");
    soon(hall.loader.force_kill_service("sh")).await.unwrap();
}

#[tokio::test]
async fn commands_run_before_the_start_and_after_the_stop() {
    let hall = Hall::new();
    let mut facts = hall.facts();
    let shell = |script: &str| Some(vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()]);
    let options = StartOptions {
        pre_start: shell("echo before >$FACTS"),
        post_stop: shell("echo after >$FACTS"),
        ..facts.options("echo up >$FACTS; exec sleep 1000")
    };
    soon(hall.loader.start_service("sh", options))
        .await
        .expect("starts");
    assert_eq!(facts.next().await, "before");
    assert_eq!(facts.next().await, "up");
    soon(hall.loader.stop_service("sh", Duration::from_secs(10)))
        .await
        .expect("stops");
    assert_eq!(facts.next().await, "after");
}

#[tokio::test]
async fn a_failed_command_before_the_start_fails_the_start() {
    let hall = Hall::new();
    let options = StartOptions {
        pre_start: Some(vec!["false".to_owned()]),
        ..script_options("exec sleep 1000")
    };
    let text = spawn_failure(soon(hall.loader.start_service("sh", options)).await);
    assert_eq!(text, "sh: pre_start false: exit status: 1");
    assert!(!hall.loader.is_running("sh"));
}

#[tokio::test]
async fn a_stop_cancels_a_start_that_is_still_in_its_command() {
    let hall = Hall::new();
    let mut facts = hall.facts();
    let script = "echo $$ >$FACTS; exec sleep 1000";
    let options = StartOptions {
        pre_start: Some(vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()]),
        ..facts.options("echo never >$FACTS")
    };
    let stop = async {
        let command = facts.pid().await;
        hall.loader
            .stop_service("sh", Duration::from_secs(1000))
            .await
            .expect("stops");
        assert!(!lives(command));
    };
    let (started, ()) =
        soon(async { tokio::join!(hall.loader.start_service("sh", options), stop) }).await;
    assert!(spawn_failure(started).contains("pre_start"));
}

#[tokio::test]
async fn services_end_with_the_last_handle_where_that_is_asked_for() {
    let hall = Hall::with(|config| config.kill_on_drop = true);
    let process = hall
        .loader
        .start_service("sh", script_options("exec sleep 1000"))
        .await
        .unwrap();
    drop(hall);
    assert!(soon(process.exited()).await.killed);
}
