//! The public API over processes that exist in the test alone, in paused time.
#![expect(clippy::expect_used, reason = "helpers of tests may panic as tests do")]

use std::{
    collections::HashMap, os::unix::process::ExitStatusExt, process::ExitStatus, sync::Arc,
    time::Duration,
};

use thjalfi::{
    Admission, Ports, Readiness, ServiceLoader, ServiceLoaderConfig, ServiceLoaderError, Signal,
    StartOptions,
    mock::{FakeChildControl, FakeSpawner, MockAuthorizer},
};
use tokio::{sync::mpsc::UnboundedReceiver, time::Instant};

const HOUR: Duration = Duration::from_secs(3600);

/// At the deadline, and after the leader's end for what it has born until then.
const KILLED: [Signal; 2] = [Signal::Kill; 2];

fn loader(force: bool) -> (ServiceLoader, UnboundedReceiver<FakeChildControl>) {
    let (spawner, children) = FakeSpawner::new();
    let mut authorizer = MockAuthorizer::new();
    authorizer
        .expect_authorize()
        .returning(|_| Ok(Admission::default()));
    let config = ServiceLoaderConfig {
        service_paths: HashMap::from([("thor".to_owned(), "/bin/thor".into())]),
        force_kill_after_timeout: force,
        ..ServiceLoaderConfig::default()
    };
    let ports = Ports {
        spawner: Arc::new(spawner),
        authorizer: Arc::new(authorizer),
    };
    (ServiceLoader::with_ports(config, ports), children)
}

async fn start(loader: &ServiceLoader) -> thjalfi::ServiceProcess {
    let options = StartOptions::default();
    loader.start_service("thor", options).await.expect("starts")
}

/// Lets everything happen that waits for nothing but its turn.
async fn settle() {
    tokio::time::sleep(Duration::from_nanos(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_signals_the_leader_then_the_rest_and_kills_at_the_deadline() {
    let (loader, mut children) = loader(true);
    let process = start(&loader).await;
    let child = children.recv().await.unwrap();
    let begun = Instant::now();
    let script = async {
        settle().await;
        assert_eq!(
            child.leader_signals(),
            [Signal::Terminate, Signal::Continue]
        );
        assert_eq!(child.tree_signals(), []);
        child.end_leader(ExitStatus::from_raw(0));
        settle().await;
        assert_eq!(child.tree_signals(), [Signal::Terminate]);
    };
    let (stopped, ()) = tokio::join!(loader.stop_service("thor", HOUR), script);
    stopped.expect("stops");
    assert_eq!(child.tree_signals(), [Signal::Terminate, Signal::Kill]);
    assert_eq!(begun.elapsed().as_secs(), HOUR.as_secs());
    let exit = process.exited().await;
    assert!(exit.killed);
    assert_eq!(exit.status.unwrap().code(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_second_stop_may_shorten_the_first_and_a_kill_ends_both() {
    let (loader, mut children) = loader(true);
    start(&loader).await;
    let _child = children.recv().await.unwrap();
    let begun = Instant::now();
    let (one, two) = tokio::join!(
        loader.stop_service("thor", HOUR),
        loader.stop_service("thor", Duration::from_secs(1)),
    );
    one.expect("stops");
    two.expect("stops");
    assert_eq!(begun.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_was_given_up_stays_in_force() {
    let (loader, mut children) = loader(true);
    let process = start(&loader).await;
    let child = children.recv().await.unwrap();
    let given_up = tokio::time::timeout(
        Duration::from_millis(1),
        loader.stop_service("thor", Duration::from_secs(5)),
    );
    given_up.await.expect_err("it takes longer");
    process.exited().await;
    assert_eq!(child.tree_signals(), KILLED);
}

#[tokio::test(start_paused = true)]
async fn without_force_only_a_leader_is_left_running() {
    let (loader, mut children) = loader(false);
    start(&loader).await;
    let child = children.recv().await.unwrap();
    let stopped = loader.stop_service("thor", Duration::from_secs(1)).await;
    assert!(
        matches!(stopped, Err(ServiceLoaderError::ShutdownTimeout(_))),
        "{stopped:?}"
    );
    assert!(loader.is_running("thor"));

    let script = async {
        settle().await;
        child.end_leader(ExitStatus::from_raw(0));
    };
    let (stopped, ()) = tokio::join!(loader.stop_service("thor", HOUR), script);
    stopped.expect("what is left of a tree is killed");
    assert_eq!(child.tree_signals(), [Signal::Terminate, Signal::Kill]);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_waited_for_a_stop_is_refused_if_the_service_stays() {
    let (loader, mut children) = loader(false);
    start(&loader).await;
    let _child = children.recv().await.unwrap();
    let again = async {
        settle().await;
        loader.start_service("thor", StartOptions::default()).await
    };
    let (stopped, started) = tokio::join!(loader.stop_service("thor", HOUR), again);
    assert!(
        matches!(stopped, Err(ServiceLoaderError::ShutdownTimeout(_))),
        "{stopped:?}"
    );
    assert!(
        matches!(started, Err(ServiceLoaderError::AlreadyRunning(_))),
        "{started:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_delay_makes_ready_exactly_then() {
    let (loader, _children) = loader(true);
    let begun = Instant::now();
    let options = StartOptions {
        readiness: Readiness::Delay(Duration::from_secs(7)),
        ..StartOptions::default()
    };
    loader
        .start_service("thor", options)
        .await
        .expect("is ready");
    assert_eq!(begun.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_takes_too_long_is_killed_at_its_timeout() {
    let (loader, mut children) = loader(true);
    let begun = Instant::now();
    let options = StartOptions {
        readiness: Readiness::Delay(HOUR),
        ..StartOptions::default()
    };
    let started = loader.start_service("thor", options).await;
    assert!(
        matches!(started, Err(ServiceLoaderError::StartupTimeout(_))),
        "{started:?}"
    );
    assert_eq!(begun.elapsed().as_secs(), 30);
    assert_eq!(children.recv().await.unwrap().tree_signals(), KILLED);
    assert!(!loader.is_running("thor"));
}

#[tokio::test(start_paused = true)]
async fn a_start_that_was_given_up_leaves_the_process_to_be_found() {
    let (loader, mut children) = loader(true);
    let options = StartOptions {
        readiness: Readiness::Delay(HOUR),
        ..StartOptions::default()
    };
    let start = loader.start_service("thor", options);
    tokio::time::timeout(Duration::from_secs(1), start)
        .await
        .expect_err("it takes longer");
    assert!(loader.is_running("thor"));
    children
        .recv()
        .await
        .unwrap()
        .end_leader(ExitStatus::from_raw(0));
    let process = loader.get_process("thor").expect("runs");
    let exit = process.exited().await;
    assert!(!exit.killed, "only what is left of a tree was");
}
