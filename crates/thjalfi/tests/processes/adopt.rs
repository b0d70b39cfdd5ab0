//! Runs that a later daemon takes over: a second loader of the same hall stands for it.

use std::{
    os::unix::process::ExitStatusExt,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use thjalfi::{
    AdoptOptions, Containment, ProcessIdentity, ServiceLoader, ServiceLoaderConfig, ServiceProcess,
};

use crate::support::{Facts, Hall, containments, lives, soon};

fn new_name() -> String {
    static HALLS: AtomicU32 = AtomicU32::new(0);
    let hall = HALLS.fetch_add(1, Ordering::Relaxed);
    format!("thjalfi-adopt-{}-{hall}", std::process::id())
}

/// Two daemons of one hall, the later one without any service.
fn daemons(containment: Containment) -> (Hall, ServiceLoader) {
    let mut shared = ServiceLoaderConfig::default();
    let earlier = Hall::with(|config| {
        config.containment = containment;
        config.cgroup_name = Some(new_name());
        shared = config.clone();
    });
    (earlier, ServiceLoader::new(shared))
}

fn adoption(identity: ProcessIdentity) -> AdoptOptions {
    AdoptOptions {
        identity,
        ready: true,
        options: Default::default(),
    }
}

async fn with_child(hall: &Hall, facts: &mut Facts) -> (ServiceProcess, u32) {
    let process = hall
        .run("sleep 1000 & echo $! >$FACTS; exec sleep 1000", facts)
        .await;
    (process, facts.pid().await)
}

#[tokio::test]
async fn an_adopted_run_is_the_same_process_and_is_stopped_with_its_tree() {
    for containment in containments() {
        let (earlier, later) = daemons(containment);
        let mut facts = earlier.facts();
        let (process, below) = with_child(&earlier, &mut facts).await;
        let identity = process.identity().expect("it lives");

        let adopted = later
            .adopt_service("sh", adoption(identity.clone()))
            .await
            .expect("is adopted");

        assert_eq!(adopted.pid, process.pid);
        assert_eq!(adopted.start_time, process.start_time);
        assert_eq!(adopted.identity(), Some(identity));
        assert!(later.is_running("sh"));
        soon(adopted.ready()).await.expect("it was ready");
        soon(later.end_leftovers()).await.expect("there are none");
        assert!(lives(process.pid) && lives(below));
        soon(later.stop_service("sh", Duration::from_secs(10)))
            .await
            .expect("stops");
        let exit = soon(adopted.exited()).await;
        assert_eq!(exit.status.and_then(|status| status.signal()), Some(15));
        assert!(!lives(below) && !lives(process.pid), "{containment:?}");
        soon(process.exited()).await;
    }
}

#[tokio::test]
async fn a_reused_pid_is_recognised_and_never_signalled() {
    for containment in containments() {
        let (earlier, later) = daemons(containment);
        let facts = earlier.facts();
        let process = earlier.run("exec sleep 1000", &facts).await;
        let mut stranger = Command::new("sleep").arg("1000").spawn().expect("starts");
        let true_identity = process.identity().expect("it lives");
        earlier.loader.force_kill_service("sh").await.expect("ends");
        let identity = ProcessIdentity {
            pid: stranger.id(),
            // A number is not given again so soon that the clock would not tell.
            start_ticks: true_identity.start_ticks - 1,
            ..true_identity.clone()
        };
        let other_boot = ProcessIdentity {
            boot_id: "another".to_owned(),
            ..identity.clone()
        };

        for identity in [identity, true_identity, other_boot] {
            let run = later
                .adopt_service("sh", adoption(identity))
                .await
                .expect("is a run that has ended");
            assert_eq!(soon(run.exited()).await.status, None);
            assert!(!later.is_running("sh"));
        }

        assert!(lives(stranger.id()), "{containment:?}");
        stranger.kill().expect("is ours");
        stranger.wait().expect("is ours");
    }
}

#[tokio::test]
async fn groups_that_nobody_adopts_are_killed_and_those_of_another_hall_are_not() {
    if !containments().contains(&Containment::Cgroup) {
        return;
    }
    let (earlier, later) = daemons(Containment::Cgroup);
    let (other_hall, _) = daemons(Containment::Cgroup);
    let mut facts = earlier.facts();
    let (process, below) = with_child(&earlier, &mut facts).await;
    let other = other_hall.run("exec sleep 1000", &facts).await;

    soon(later.end_leftovers()).await.expect("ends them");

    let exit = soon(process.exited()).await;
    assert_eq!(exit.status.and_then(|status| status.signal()), Some(9));
    assert!(!lives(below));
    assert!(lives(other.pid));
    let kill = other_hall.loader.force_kill_service("sh");
    kill.await.expect("ends");
}

#[tokio::test]
async fn marked_processes_that_nobody_adopts_are_killed_and_those_of_another_hall_are_not() {
    let name = new_name();
    let hall = Hall::with(|config| {
        config.containment = Containment::Session;
        config.cgroup_name = Some(name.clone());
    });
    let marked = |hall: &str| {
        let mut command = Command::new("sleep");
        command
            .arg("1000")
            .env("GLADSHEIM_RUN", format!("{hall}/1.1.1"));
        command.spawn().expect("starts")
    };
    let mut left = marked(&name);
    let mut other = marked(&format!("{name}0"));

    soon(hall.loader.end_leftovers()).await.expect("ends it");

    let status = left.wait().expect("is ours");
    assert_eq!(status.signal(), Some(9));
    assert!(lives(other.id()));
    other.kill().expect("is ours");
    other.wait().expect("is ours");
}
