//! Nothing of a service survives its stop, whatever it does.

use std::{os::unix::process::ExitStatusExt, time::Duration};

use thjalfi::Containment;

use crate::support::{Hall, containments, lives, script_options, soon};

/// A grandchild that left the session and the group, whose parent is gone, and that ignores SIGTERM.
const DAEMONISED: &str = r#"
    setsid sh -c '(trap "" TERM; echo $$ >/dev/null; exec sh -c "trap \"\" TERM; echo \$\$ >$FACTS; while :; do sleep 1000; done") &' </dev/null
    exec sleep 1000
"#;

#[tokio::test]
async fn a_daemonised_grandchild_that_ignores_the_signal_is_gone_after_the_stop() {
    for containment in containments() {
        let hall = Hall::contained(containment);
        let mut facts = hall.facts();
        let process = hall.run(DAEMONISED, &facts).await;
        let grandchild = facts.pid().await;
        assert!(lives(grandchild));

        let stop = hall.loader.stop_service("sh", Duration::from_millis(100));
        soon(stop).await.expect("stops");

        assert!(!lives(grandchild), "{containment:?}");
        assert!(!lives(process.pid), "{containment:?}");
        let exit = process.exited().await;
        assert_eq!(exit.status.unwrap().signal(), Some(15));
        assert!(exit.killed, "the deadline has passed for the grandchild");
    }
}

#[tokio::test]
async fn what_is_left_of_a_leader_that_ends_by_itself_is_killed_before_the_exit_is_told() {
    for containment in containments() {
        let hall = Hall::contained(containment);
        let mut facts = hall.facts();
        let script = format!("({DAEMONISED}) & read go <$FIFO; exit 3");
        let fifo = hall.path("go");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mut options = facts.options(&script);
        options
            .env_vars
            .insert("FIFO".to_owned(), fifo.display().to_string());
        let process = hall.loader.start_service("sh", options).await.unwrap();
        let grandchild = facts.pid().await;
        tokio::fs::write(&fifo, "go\n").await.unwrap();

        let exit = soon(process.exited()).await;

        assert_eq!(exit.status.unwrap().code(), Some(3), "{containment:?}");
        assert!(!exit.killed, "its end was its own");
        assert!(!lives(grandchild), "{containment:?}");
        assert!(!hall.loader.is_running("sh"));
    }
}

#[tokio::test]
async fn a_straggler_gets_the_stop_signal_once_the_leader_is_gone() {
    for containment in containments() {
        let hall = Hall::contained(containment);
        let mut facts = hall.facts();
        let script = r#"
            sh -c 'trap "echo told >$FACTS; exit" TERM; echo $$ >$FACTS; while :; do sleep 0.01; done' &
            trap "exit 0" TERM; while :; do sleep 0.01; done
        "#;
        let process = hall.run(script, &facts).await;
        let straggler = facts.pid().await;

        let stop = hall.loader.stop_service("sh", Duration::from_secs(1000));
        soon(stop).await.expect("stops");

        assert_eq!(facts.next().await, "told", "{containment:?}");
        assert!(!lives(straggler));
        assert!(!process.exited().await.killed);
    }
}

#[tokio::test]
async fn two_halls_do_not_touch_each_others_services() {
    for containment in containments() {
        let (one, two) = (Hall::contained(containment), Hall::contained(containment));
        let (mut one_facts, mut two_facts) = (one.facts(), two.facts());
        one.run(DAEMONISED, &one_facts).await;
        two.run(DAEMONISED, &two_facts).await;
        one_facts.pid().await;
        let other = two_facts.pid().await;

        soon(one.loader.force_kill_service("sh")).await.unwrap();

        assert!(lives(other), "{containment:?}");
        assert!(two.loader.is_running("sh"));
        soon(two.loader.force_kill_service("sh")).await.unwrap();
        assert!(!lives(other));
    }
}

#[test]
fn what_an_earlier_daemon_left_in_the_group_is_killed_before_the_next_start() {
    if !containments().contains(&Containment::Cgroup) {
        return;
    }
    let name = format!("gladsheim-test-{}", std::process::id());
    let hall = || {
        Hall::with(|config| {
            config.containment = Containment::Cgroup;
            config.cgroup_name = Some(name.clone());
        })
    };
    let run = |stop: bool| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let pid = runtime.block_on(async {
            let hall = hall();
            let options = script_options("trap '' TERM; while :; do sleep 0.01; done");
            let process = hall.loader.start_service("sh", options).await.unwrap();
            if stop {
                soon(hall.loader.force_kill_service("sh")).await.unwrap();
            }
            process.pid
        });
        // With its runtime, the supervisor is gone as after a SIGKILL of the daemon.
        drop(runtime);
        pid
    };
    let left = run(false);
    assert!(lives(left));
    run(true);
    assert!(!lives(left));
}
