//! Orphans that come to this process are reaped, children of others are not.

use std::{fs, process::Command, time::Duration};

use thjalfi::Containment;

use crate::support::{Hall, lives, soon};

#[tokio::test]
async fn an_orphan_that_ends_during_the_run_is_reaped_and_a_foreign_child_is_left_to_its_owner() {
    let hall = Hall::contained(Containment::Session);
    let mut facts = hall.facts();
    let mut foreign = Command::new("true").spawn().expect("starts");
    // The orphan waits for its adoption, tells its pid and ends.
    let script = r#"
        (sh -c 'while [ $(cut -d" " -f4 /proc/$$/stat) != '$PPID' ]; do sleep 0.01; done; echo $$ >$FACTS' &)
        exec sleep 1000
    "#;
    let process = hall.run(script, &facts).await;
    let orphan = facts.pid().await;

    let gone = async {
        while fs::exists(format!("/proc/{orphan}")).expect("is known") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon(gone).await;
    assert!(lives(process.pid));
    assert!(foreign.wait().expect("is ours to be reaped").success());
    soon(hall.loader.force_kill_service("sh")).await.unwrap();
}

#[tokio::test]
async fn an_orphan_without_any_mark_is_reported_and_not_killed() {
    let hall = Hall::contained(Containment::Session);
    let mut facts = hall.facts();
    let script = r#"
        (env -u GLADSHEIM_RUN setsid sh -c 'while [ $(cut -d" " -f4 /proc/$$/stat) != '$PPID' ]; do sleep 0.01; done; echo $$ >$FACTS; exec sleep 1000' &)
        exec sleep 1000
    "#;
    let process = hall.run(script, &facts).await;
    let orphan = facts.pid().await;

    soon(hall.loader.force_kill_service("sh")).await.unwrap();

    let leaked = soon(process.exited()).await.leaked;
    assert!(leaked.contains(&orphan), "{leaked:?}");
    assert!(lives(orphan));
    let orphan = nix::unistd::Pid::from_raw(orphan.cast_signed());
    nix::sys::signal::kill(orphan, nix::sys::signal::Signal::SIGKILL).expect("is still there");
}
