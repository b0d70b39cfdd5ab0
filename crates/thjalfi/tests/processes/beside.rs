//! Commands beside a running service: what they share with it, and that nothing of them is left.

use std::{collections::HashMap, fs};

use thjalfi::{CommandEnd, ServiceLoaderError, StartOptions};

use crate::support::{Hall, containments, lives, script_options, soon};

/// A grandchild in a session of its own, whose parent has ended, and that ignores all but SIGKILL.
const ESCAPE: &str = r#"
    setsid sh -c '(trap "" TERM HUP; sh -c "echo \$\$ >$FACTS; while :; do sleep 1000; done") &' </dev/null
"#;

fn shell(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).into()
}

#[track_caller]
fn said(end: &CommandEnd) -> Vec<&str> {
    let text = str::from_utf8(&end.output).unwrap();
    text.lines().collect()
}

#[tokio::test]
async fn a_command_has_the_services_environment_folder_and_user() {
    let is_root = nix::unistd::getuid().is_root();
    let hall = Hall::new();
    fs::write(hall.path("env"), "FILE=from the file\n").unwrap();
    let options = StartOptions {
        env_vars: HashMap::from([("VARIABLE".to_owned(), "its value".to_owned())]),
        env_file: Some(hall.path("env")),
        working_dir: Some("/usr".into()),
        umask: Some(0o27),
        user: is_root.then(|| "nobody".to_owned()),
        ..script_options("exec sleep 1000")
    };
    hall.loader.start_service("sh", options).await.unwrap();
    let script = "echo $VARIABLE; echo $FILE; pwd; umask; id -un >&2; exit 7";
    let command = shell(script);
    let end = soon(hall.loader.run_command("sh", &command)).await.unwrap();
    assert_eq!(end.status.code(), Some(7));
    let said = said(&end);
    assert_eq!(said[..4], ["its value", "from the file", "/usr", "0027"]);
    if is_root {
        assert_eq!(said[4], "nobody");
    }
    hall.loader.force_kill_service("sh").await.unwrap();
}

#[tokio::test]
async fn a_command_that_nobody_waits_for_leaves_nobody_behind() {
    for containment in containments() {
        let hall = Hall::contained(containment);
        let mut facts = hall.facts();
        let process = hall.run("exec sleep 1000", &facts).await;
        let command = shell(&format!("{ESCAPE} sleep 1000"));
        let escaped = tokio::select! {
            end = hall.loader.run_command("sh", &command) => panic!("{end:?}"),
            pid = facts.pid() => pid,
        };
        soon(gone(escaped)).await;
        assert!(process.is_alive(), "{containment:?}");
        let groups = process
            .cgroup()
            .map(|service| service.parent().unwrap().to_owned());
        if let Some(groups) = groups {
            soon(async {
                while groups
                    .read_dir()
                    .unwrap()
                    .flatten()
                    .filter(is_folder)
                    .count()
                    > 1
                {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
        hall.loader.force_kill_service("sh").await.unwrap();
    }
}

fn is_folder(entry: &fs::DirEntry) -> bool {
    entry.file_type().unwrap().is_dir()
}

async fn gone(pid: u32) {
    while lives(pid) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_a_command_leaves_behind_is_gone_when_its_end_is_told() {
    for containment in containments() {
        let hall = Hall::contained(containment);
        let mut facts = hall.facts();
        let process = hall.run("exec sleep 1000", &facts).await;
        let fifo = hall.path("go");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let command = shell(&format!("{ESCAPE} read go <{}", fifo.display()));
        let escaped = async {
            let escaped = facts.pid().await;
            tokio::fs::write(&fifo, "go\n").await.unwrap();
            escaped
        };
        let (end, escaped) =
            soon(async { tokio::join!(hall.loader.run_command("sh", &command), escaped) }).await;
        assert!(end.unwrap().status.success(), "{containment:?}");
        assert!(!lives(escaped), "{containment:?}");
        assert!(process.is_alive());
        hall.loader.force_kill_service("sh").await.unwrap();
    }
}

#[tokio::test]
async fn of_output_without_end_the_end_is_kept() {
    let hall = Hall::new();
    let options = script_options("exec sleep 1000");
    hall.loader.start_service("sh", options).await.unwrap();
    let command = shell("head -c 1000000 /dev/zero; echo; echo done");
    let end = soon(hall.loader.run_command("sh", &command)).await.unwrap();
    assert!(end.output.len() <= 8192);
    assert!(end.output.ends_with(b"\ndone\n"));
    hall.loader.force_kill_service("sh").await.unwrap();
}

#[tokio::test]
async fn a_command_needs_a_service_that_runs_and_a_program() {
    let hall = Hall::new();
    let none = hall.loader.run_command("sh", &shell("true")).await;
    assert!(matches!(none, Err(ServiceLoaderError::NotRunning(name)) if name == "sh"));
    let options = script_options("exec sleep 1000");
    hall.loader.start_service("sh", options).await.unwrap();
    for (command, text) in [
        (vec![], "sh: options command: is empty"),
        (
            vec!["/nowhere/x".to_owned()],
            "sh: exec /nowhere/x: No such file or directory (ENOENT)",
        ),
    ] {
        match hall.loader.run_command("sh", &command).await {
            Err(ServiceLoaderError::SpawnFailed(told)) => assert_eq!(told, text),
            other => panic!("{other:?}"),
        }
    }
    hall.loader.force_kill_service("sh").await.unwrap();
}
