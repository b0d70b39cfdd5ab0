//! `up` with a daemon of its own, over real processes, and what it prints on a pipe.

use std::{
    io::{BufRead as _, BufReader, Lines},
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A hall in a folder of its own; its daemon is shut down at the end.
struct Hall {
    folder: tempfile::TempDir,
}

impl Hall {
    /// `thor` says hail and goes on; what more there is stands in `services`.
    fn new(services: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let text = format!(
            "state_dir = \"state\"\nsocket = \"hall.sock\"\n{services}\n\
             [services.thor]\npath = \"/bin/sh\"\nargs = [\"-c\", \"echo hail; exec sleep 1000\"]\n"
        );
        std::fs::write(folder.path().join("gladsheim.toml"), text).expect("is written");
        Self { folder }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gladsheim"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
            .env_remove("GLADSHEIM_SOCKET")
            .env_remove("GLADSHEIM_HALL");
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("runs")
    }

    fn up(&self) -> Up {
        let mut child = self
            .command(&["up"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let lines = BufReader::new(child.stdout.take().expect("is piped")).lines();
        Up { child, lines }
    }
}

impl Drop for Hall {
    fn drop(&mut self) {
        // Most tests have ended it themselves.
        let _ = self.command(&["shutdown"]).output();
    }
}

/// A running `up`.
struct Up {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Up {
    /// Reads on until there is this line.
    #[track_caller]
    fn until(&mut self, wanted: &str) {
        let mut seen = Vec::new();
        for line in &mut self.lines {
            seen.push(line.expect("is text"));
            if seen.last().is_some_and(|line| line == wanted) {
                return;
            }
        }
        panic!("no {wanted:?} in {seen:#?}");
    }

    /// Presses Ctrl-C, as it were, and reads to the end.
    fn interrupt(mut self) -> (Option<i32>, Vec<String>) {
        let pid = i32::try_from(self.child.id()).expect("fits");
        kill(Pid::from_raw(pid), Signal::SIGINT).expect("is alive");
        let rest = self.lines.map(|line| line.expect("is text")).collect();
        (self.child.wait().expect("ends").code(), rest)
    }
}

#[test]
fn on_a_pipe_there_are_plain_lines_until_ctrl_c_stops_all() {
    let hall = Hall::new("");
    let mut up = hall.up();
    up.until("thor: starting");
    up.until("thor | hail");
    let (code, rest) = up.interrupt();
    assert_eq!(code, Some(0), "{rest:#?}");
    assert!(rest.iter().any(|line| line == "thor: stopped"), "{rest:#?}");
    assert_eq!(
        rest.last().map(String::as_str),
        Some("all services are stopped")
    );
    assert_eq!(
        hall.run(&["status"]).status.code(),
        Some(3),
        "no daemon is left"
    );
}

#[test]
fn ctrl_c_only_detaches_from_the_daemon_of_somebody_else() {
    let hall = Hall::new("");
    assert_eq!(hall.run(&["up", "--detach"]).status.code(), Some(0));
    let mut up = hall.up();
    up.until("attached to the daemon that serves this hall already; Ctrl-C only detaches");
    assert_eq!(hall.run(&["restart", "thor"]).status.code(), Some(0));
    up.until("thor | hail");
    let (code, rest) = up.interrupt();
    assert_eq!(code, Some(0), "{rest:#?}");
    let status = hall.run(&["status", "thor", "--state", "running", "--format", "json"]);
    assert!(status.stdout.starts_with(b"[{"), "it runs on: {status:?}");
}

#[test]
fn a_service_that_fails_stops_no_other_and_leaves_the_detached_daemon() {
    let hall = Hall::new("[services.broken]\npath = \"/nonexistent/broken\"\n");
    let up = hall.run(&["up", "--detach"]);
    assert_eq!(up.status.code(), Some(1), "{up:?}");
    let message = String::from_utf8(up.stderr).expect("is text");
    assert!(message.contains("/nonexistent/broken"), "{message}");
    let running = hall.run(&["wait", "thor", "--for", "running"]);
    assert_eq!(running.status.code(), Some(0), "{running:?}");
    assert_eq!(hall.run(&["shutdown"]).status.code(), Some(0));
    assert_eq!(
        hall.run(&["status"]).status.code(),
        Some(3),
        "the daemon is gone"
    );
}

#[test]
fn an_unknown_name_starts_nothing() {
    let hall = Hall::new("");
    let up = hall.run(&["up", "nobody"]);
    assert_eq!(up.status.code(), Some(4), "{up:?}");
    assert_eq!(
        hall.run(&["status"]).status.code(),
        Some(3),
        "no daemon is left"
    );
}

#[test]
fn a_daemon_that_cannot_start_says_why() {
    let hall = Hall::new("");
    std::fs::write(hall.folder.path().join("state"), "a file").expect("is written");
    for args in [&["up"][..], &["up", "--detach"]] {
        let up = hall.run(args);
        assert_eq!(up.status.code(), Some(1), "{up:?}");
        assert!(
            String::from_utf8_lossy(&up.stderr).contains("state"),
            "{up:?}"
        );
    }
}
