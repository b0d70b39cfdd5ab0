//! Captured output: complete, told apart, bounded, rotated, followed.

use std::{fs, os::unix::fs::MetadataExt};

use thjalfi::{LogLine, LogQuery, LogRotation, OutputStream, Readiness, StartOptions};

use crate::support::{Hall, script_options, soon};

async fn run_to_end(hall: &Hall, options: StartOptions) {
    let process = hall
        .loader
        .start_service("sh", options)
        .await
        .expect("starts");
    soon(process.exited()).await;
}

async fn last(hall: &Hall, last: usize) -> Vec<LogLine> {
    let query = LogQuery {
        last,
        follow: false,
    };
    let mut stream = hall.loader.read_log("sh", query).expect("is readable");
    let mut lines = Vec::new();
    while let Some(line) = soon(stream.recv()).await {
        lines.push(line);
    }
    lines
}

#[tokio::test]
async fn lines_are_kept_with_stream_and_time_up_to_the_last_byte() {
    let hall = Hall::capturing();
    let before = std::time::SystemTime::now() - std::time::Duration::from_secs(1);
    run_to_end(
        &hall,
        script_options("echo one; echo two >&2; printf three"),
    )
    .await;
    let mut lines = last(&hall, 100).await;
    assert!(
        lines
            .iter()
            .all(|line| line.at >= before && line.service_name == "sh")
    );
    lines.sort_by(|a, b| a.line.cmp(&b.line));
    let texts: Vec<_> = lines
        .iter()
        .map(|line| (line.stream, line.line.as_str()))
        .collect();
    let (out, err) = (OutputStream::Stdout, OutputStream::Stderr);
    assert_eq!(texts, [(out, "one"), (out, "three"), (err, "two")]);
}

#[tokio::test]
async fn nothing_is_lost_of_much_output_before_a_quick_end() {
    let hall = Hall::capturing();
    run_to_end(&hall, script_options("seq 1 200000")).await;
    let lines = last(&hall, usize::MAX).await;
    assert_eq!(lines.len(), 200_000);
    for (index, line) in lines.iter().enumerate() {
        assert_eq!(line.line, (index + 1).to_string());
    }
    let lines = last(&hall, 3).await;
    let texts: Vec<_> = lines.iter().map(|line| line.line.as_str()).collect();
    assert_eq!(texts, ["199998", "199999", "200000"]);
}

#[tokio::test]
async fn a_line_of_many_mebibytes_is_cut_and_complete() {
    let hall = Hall::capturing();
    run_to_end(
        &hall,
        script_options("head -c 5000000 /dev/zero | tr '\\0' x; echo; echo end"),
    )
    .await;
    let lines = last(&hall, usize::MAX).await;
    let (end, parts) = lines.split_last().unwrap();
    assert_eq!(end.line, "end");
    assert_eq!(
        parts.iter().map(|part| part.line.len()).sum::<usize>(),
        5_000_000
    );
    assert!(parts.iter().all(|part| part.line.len() <= 64 * 1024));
}

#[tokio::test]
async fn binary_output_does_no_harm() {
    let hall = Hall::capturing();
    run_to_end(
        &hall,
        script_options("head -c 300000 /dev/urandom; echo; echo end"),
    )
    .await;
    assert_eq!(last(&hall, 1).await[0].line, "end");
}

#[tokio::test]
async fn files_are_rotated_by_size_and_the_oldest_go() {
    let hall = Hall::capturing();
    let options = StartOptions {
        log_rotation: LogRotation {
            max_size: 1000,
            max_files: 3,
        },
        ..script_options("seq 1 500")
    };
    run_to_end(&hall, options).await;
    let sizes: Vec<_> = ["sh.log", "sh.log.1", "sh.log.2"]
        .iter()
        .map(|name| fs::metadata(hall.path(name)).unwrap().size())
        .collect();
    assert!(
        sizes.iter().all(|size| (1..=1000).contains(size)),
        "{sizes:?}"
    );
    assert!(!hall.path("sh.log.3").exists());
    let lines = last(&hall, usize::MAX).await;
    let numbers: Vec<u32> = lines
        .iter()
        .map(|line| line.line.parse().unwrap())
        .collect();
    let expected: Vec<u32> = (501 - numbers.len() as u32..=500).collect();
    assert_eq!(numbers, expected);
}

#[tokio::test]
async fn a_follower_gets_what_was_and_what_comes_over_rotations_and_restarts() {
    let hall = Hall::capturing();
    let mut facts = hall.facts();
    let mut options = facts.options(
        "trap 'seq 1 200; exit' TERM; echo old; echo ready >$FACTS; while :; do sleep 0.01; done",
    );
    options.log_rotation = LogRotation {
        max_size: 500,
        max_files: 100,
    };
    hall.loader
        .start_service("sh", options.clone())
        .await
        .unwrap();
    assert_eq!(facts.next().await, "ready");
    let query = LogQuery {
        last: 1,
        follow: true,
    };
    let mut stream = hall.loader.read_log("sh", query).unwrap();
    assert_eq!(soon(stream.recv()).await.unwrap().line, "old");

    soon(
        hall.loader
            .stop_service("sh", std::time::Duration::from_secs(1000)),
    )
    .await
    .unwrap();
    for number in 1..=200 {
        assert_eq!(soon(stream.recv()).await.unwrap().line, number.to_string());
    }
    hall.loader.start_service("sh", options).await.unwrap();
    assert_eq!(soon(stream.recv()).await.unwrap().line, "old");
    soon(hall.loader.force_kill_service("sh")).await.unwrap();
}

#[tokio::test]
async fn a_deleted_log_file_is_made_anew() {
    let hall = Hall::capturing();
    run_to_end(&hall, script_options("echo one")).await;
    fs::remove_file(hall.path("sh.log")).unwrap();
    run_to_end(&hall, script_options("echo two")).await;
    let lines = last(&hall, 100).await;
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].line, "two");
}

#[tokio::test]
async fn lines_that_cannot_be_written_are_counted_and_the_service_goes_on() {
    let hall = Hall::capturing();
    let mut events = hall.loader.subscribe();
    fs::create_dir(hall.path("sh.log")).unwrap();
    run_to_end(&hall, script_options("seq 1 100")).await;
    let mut dropped = 0;
    while dropped < 100 {
        if let thjalfi::ProcessEvent::OutputDropped { lines, .. } =
            soon(events.recv()).await.unwrap()
        {
            dropped += lines;
        }
    }
    assert_eq!(dropped, 100);
}

#[tokio::test]
async fn readiness_shows_in_a_line_of_captured_output_and_of_other_as_well() {
    for hall in [Hall::capturing(), Hall::new()] {
        let options = StartOptions {
            readiness: Readiness::Log("^listening on [0-9]+$".to_owned()),
            ..script_options("echo starting; echo listening on 80; exec sleep 1000")
        };
        let process = soon(hall.loader.start_service("sh", options))
            .await
            .expect("is ready");
        assert!(process.is_alive());
        soon(hall.loader.force_kill_service("sh")).await.unwrap();
    }
}

#[tokio::test]
async fn output_that_is_only_looked_at_is_dropped_and_stops_nobody() {
    let hall = Hall::new();
    let go = hall.path("go");
    let script = format!(
        "seq 1 200000; echo up >&2; until [ -e {} ]; do sleep 0.01; done; seq 1 200000; exit 7",
        go.display()
    );
    let options = StartOptions {
        readiness: Readiness::Log("^up$".to_owned()),
        ..script_options(&script)
    };
    let process = soon(hall.loader.start_service("sh", options))
        .await
        .expect("is ready");
    fs::write(go, "").unwrap();
    let exit = soon(process.exited()).await;
    assert_eq!(exit.status.and_then(|status| status.code()), Some(7));
    assert!(hall.loader.read_log("sh", LogQuery::default()).is_err());
}

#[tokio::test]
async fn a_service_under_another_user_can_open_its_output_again() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can switch users");
        return;
    }
    let hall = Hall::capturing();
    let options = StartOptions {
        user: Some("nobody".to_owned()),
        ..script_options("echo again >/dev/stdout; echo too >/dev/stderr")
    };
    run_to_end(&hall, options).await;
    let mut texts: Vec<_> = last(&hall, 9)
        .await
        .into_iter()
        .map(|line| line.line)
        .collect();
    texts.sort();
    assert_eq!(texts, ["again", "too"]);
}

/// A file system in memory, of this many bytes, at a folder; gone when it is dropped.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(folder: &std::path::Path, options: &str) -> bool {
        let mut command = std::process::Command::new("mount");
        command.args(["-t", "tmpfs", "-o", options, "tmpfs"]);
        command
            .arg(folder)
            .status()
            .is_ok_and(|status| status.success())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let umount = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status();
        assert!(umount.is_ok_and(|status| status.success()), "not unmounted");
    }
}

#[tokio::test]
async fn a_full_disk_blocks_nobody_and_each_line_is_kept_or_counted() {
    let hall = Hall::capturing();
    let folder = hall.folder.path().to_owned();
    if !SmallDisk::mount(&folder, "size=128k") {
        println!("skipped: this machine lets us mount nothing");
        return;
    }
    let _disk = SmallDisk(folder.clone());
    let mut facts = hall.facts();
    let mut events = hall.loader.subscribe();
    let script = "seq 1 20000; echo through >$FACTS; until [ -e $FACTS.go ]; do sleep 0.01; done; \
                  echo again";
    let process = hall.run(script, &facts).await;
    assert_eq!(facts.next().await, "through");
    let mut dropped = 0;
    while dropped == 0 {
        if let thjalfi::ProcessEvent::OutputDropped { lines, .. } =
            soon(events.recv()).await.unwrap()
        {
            dropped += lines;
        }
    }
    assert!(SmallDisk::mount(&folder, "remount,size=8m"));
    fs::write(hall.path("facts.go"), "").unwrap();
    soon(process.exited()).await;
    while let Ok(event) = events.try_recv() {
        if let thjalfi::ProcessEvent::OutputDropped { lines, .. } = event {
            dropped += lines;
        }
    }
    let lines = last(&hall, usize::MAX).await;
    assert_eq!(lines.last().unwrap().line, "again");
    assert_eq!(lines.len() as u64 + dropped, 20_001);
}
