//! `up` in a real terminal: rows while the hall comes up, output then, rows again while it goes down.

use std::{fs, process::Stdio};

use gladsheim_tests::{Terminal, TestDaemon, in_shell, service, wait_until};

/// Tells how a command ended; Ctrl-C reaches the shell too, which outlives it.
const TELLING: &str = "trap : INT; \"$@\"; echo \"ended with $?\"; exec sleep 1000";

/// `freki` is ready once there is a file `go`; `thor` waits for that.
fn gated() -> TestDaemon {
    let hall = TestDaemon::prepare("");
    let script = "until [ -e go ]; do sleep 0.02; done; echo the gate is open; exec sleep 1000";
    hall.write_hall(&format!(
        "[services.freki]\npath = \"/bin/sh\"\nargs = [\"-c\", \"{script}\"]\n\
         ready = \"log:the gate is open\"\n{}depends_on = {{ freki = \"ready\" }}\n",
        service("thor", "svc-obedient", &[])
    ));
    hall
}

fn open_gate(hall: &TestDaemon) {
    fs::write(hall.path("go"), "").unwrap();
}

#[test]
fn rows_move_to_healthy_then_output_follows_and_ctrl_c_stops_all_the_same_way() {
    let hall = gated();
    let up = in_shell(TELLING, hall.command().arg("up"));
    let Some(terminal) = Terminal::run(&up, (80, 24)) else {
        return;
    };
    terminal.wait_for_text(&[
        "freki  started, not ready yet",
        "thor   waits for freki (ready)",
    ]);
    // A spinner turns, and time goes on.
    let turns = |screen: &str| screen.lines().next().and_then(|row| row.chars().next());
    let first = turns(&terminal.screen());
    terminal.wait_for("another turn", |screen| turns(screen) != first);

    open_gate(&hall);
    let open = "freki | the gate is open";
    let screen = terminal.wait_for_text(&["✔ freki", "✔ thor", open, "thor  | ready"]);
    assert!(
        !screen.contains("waits for"),
        "the rows have gone:\n{screen}"
    );
    let colored = terminal.colored();
    let prefix = |name: &str| {
        let end = colored.find(&format!("{name} |")).unwrap();
        colored[..end].rsplit('\x1b').next().unwrap().to_owned()
    };
    assert_ne!(prefix("freki"), prefix("thor "), "a colour for each name");

    terminal.press(&["C-c"]);
    terminal.wait_for_text(&[
        "stopping all services; Ctrl-C once more kills them",
        "✔ thor   stopped",
        "✔ freki  stopped",
        "all services are stopped",
        "ended with 0",
    ]);
}

#[test]
fn a_failed_start_shows_its_reason_and_its_last_lines() {
    let hall = TestDaemon::prepare("");
    hall.write_hall(
        "[services.loki]\npath = \"/bin/sh\"\nready = \"log:never said\"\n\
         args = [\"-c\", \"echo first words; echo last words >&2; exit 3\"]\n\
         restart = { policy = \"never\" }\n",
    );
    let up = in_shell(TELLING, hall.command().arg("up"));
    let Some(terminal) = Terminal::run(&up, (100, 24)) else {
        return;
    };
    terminal.wait_for("the reason and the lines", |screen| {
        let mut lines = screen
            .lines()
            .skip_while(|line| !line.starts_with("✘ loki"));
        let reason = lines.next().unwrap_or_default();
        let tail: Vec<_> = lines.take(2).map(str::trim).collect();
        reason.contains("exit code 3")
            && tail.len() == 2
            && tail.contains(&"|     first words")
            && tail.contains(&"|     last words")
    });
    terminal.press(&["C-c"]);
    terminal.wait_for_text(&["ended with 0"]);
}

#[test]
fn a_second_ctrl_c_kills_what_does_not_stop() {
    let hall = TestDaemon::prepare(
        &(service("thor", "svc-stubborn", &[]) + "shutdown_timeout = \"1h\"\n"),
    );
    let up = in_shell(TELLING, hall.command().arg("up"));
    let Some(terminal) = Terminal::run(&up, (80, 24)) else {
        return;
    };
    terminal.wait_for_text(&["✔ thor", "thor | ready"]);
    terminal.press(&["C-c"]);
    terminal.wait_for_text(&["thor  stopping"]);
    terminal.press(&["C-c"]);
    terminal.wait_for_text(&["✔ thor  stopped", "ended with 0"]);
    assert!(
        hall.processes()
            .iter()
            .all(|process| !process.command.contains("stubborn"))
    );
}

#[test]
fn more_services_than_the_terminal_has_rows_are_counted() {
    let hall = TestDaemon::prepare("");
    let waiting = |number: usize| {
        format!(
            "[services.service-{number:02}]\npath = \"/bin/sh\"\nready = \"log:go\"\n\
             args = [\"-c\", \"until [ -e go ]; do sleep 0.1; done; echo go; exec sleep 1000\"]\n"
        )
    };
    hall.write_hall(&(0..12).map(waiting).collect::<String>());
    let up = in_shell(TELLING, hall.command().arg("up"));
    let Some(terminal) = Terminal::run(&up, (60, 8)) else {
        return;
    };
    terminal.wait_for_text(&["service-00  started", "service-05  started", "… and 6 more"]);
    open_gate(&hall);
    terminal.wait_for("output instead of rows", |screen| {
        screen.contains(" | go") && !screen.contains("started") && !screen.contains("more")
    });
    terminal.press(&["C-c"]);
    terminal.wait_for_text(&["ended with 0"]);
}

#[test]
fn a_detached_up_returns_when_everything_is_up_and_not_before() {
    let hall = gated();
    let mut up = hall.command();
    up.args(["up", "--detach"])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let mut up = up.spawn().unwrap();
    wait_until("freki to start", || {
        let status = hall.cli(["status", "freki", "--format", "json"]);
        (status.code == Some(0) && status.json()[0]["state"] == "starting").then_some(())
    });
    assert!(up.try_wait().unwrap().is_none(), "it waits");
    open_gate(&hall);
    assert_eq!(up.wait().unwrap().code(), Some(0));
    for name in ["freki", "thor"] {
        assert_eq!(hall.status(name)["ready"], true, "{name}");
    }
    hall.cli(["shutdown"]).expect_code(0);
}
