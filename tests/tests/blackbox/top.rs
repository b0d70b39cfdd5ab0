//! `top` in a real terminal.

use std::fs;

use gladsheim_tests::{Terminal, TestDaemon, in_shell, service, wait_until};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const SMALL: (u16, u16) = (80, 24);

fn two_services() -> String {
    service("freki", "svc-obedient", &[])
        + &service("thor", "svc-obedient", &[])
        + "depends_on = [\"freki\"]\n"
}

/// A started hall whose services run, and `top` on it.
fn watched(services: &str) -> Option<(TestDaemon, Terminal)> {
    let hall = TestDaemon::start(services);
    hall.wait_for_state("thor", "running");
    let terminal = Terminal::run(hall.command().arg("top"), SMALL)?;
    Some((hall, terminal))
}

/// The row of a service says this.
fn row(name: &str, texts: &[&str]) -> impl Fn(&str) -> bool {
    move |screen| {
        let is_row = |line: &&str| line.starts_with(&format!("{name} "));
        let row = screen.lines().find(is_row);
        row.is_some_and(|row| texts.iter().all(|text| row.contains(text)))
    }
}

#[test]
fn top_shows_the_services_and_acts_on_them_by_key() {
    let Some((hall, terminal)) = watched(&two_services()) else {
        return;
    };
    terminal.wait_for("both running", |screen| {
        row("freki", &["running"])(screen) && row("thor", &["running"])(screen)
    });
    terminal.press(&["Down"]);
    let thor = hall.status("thor")["process_id"].to_string();
    terminal.wait_for_text(&[" thor ──", "freki (started)", &thor, "ago  running"]);

    terminal.press(&["x"]);
    terminal.wait_for("thor stopped", row("thor", &["stopped"]));
    assert_eq!(hall.status("thor")["cause"], "user");
    terminal.press(&["s"]);
    terminal.wait_for("thor running", row("thor", &["running"]));
    terminal.press(&["r"]);
    hall.wait_for_status("thor", "in its third run", |status| {
        status["generation"] == 3 && status["state"] == "running"
    });
    terminal.wait_for_text(&["run 3"]);
    terminal.press(&["k"]);
    terminal.wait_for_text(&["Kill thor and all of its processes?"]);
    terminal.press(&["y"]);
    terminal.wait_for("thor killed", row("thor", &["stopped"]));
}

#[test]
fn a_stop_that_others_need_is_asked_about() {
    let Some((hall, terminal)) = watched(&two_services()) else {
        return;
    };
    terminal.wait_for("freki running", row("freki", &["running"]));
    terminal.press(&["x"]);
    terminal.wait_for_text(&["needed by", "Stop these too?"]);
    terminal.press(&["n"]);
    terminal.wait_for("no question", |screen| !screen.contains("Stop these too?"));
    assert_eq!(hall.status("thor")["state"], "running");
    terminal.press(&["x"]);
    terminal.wait_for_text(&["Stop these too?"]);
    terminal.press(&["y"]);
    terminal.wait_for("both stopped", |screen| {
        row("freki", &["stopped"])(screen) && row("thor", &["stopped"])(screen)
    });
}

#[test]
fn rows_are_filtered_and_sorted_and_output_is_shown() {
    let Some((_hall, terminal)) = watched(&two_services()) else {
        return;
    };
    terminal.wait_for_text(&["freki ", "thor "]);
    terminal.press(&["/"]);
    terminal.type_in("tho");
    terminal.wait_for("thor alone", |screen| {
        row("thor", &[])(screen) && !screen.contains("freki  ")
    });
    terminal.press(&["Enter", "l"]);
    // What the helper says when it is ready.
    terminal.wait_for("its output", |screen| {
        screen.contains(" thor: output ") && screen.lines().any(|line| line == "ready")
    });
    terminal.press(&["Escape"]);
    terminal.wait_for("all again", row("freki", &[]));
    terminal.press(&["N", "N"]);
    terminal.wait_for_text(&["SERVICE▲"]);
    terminal.press(&["?"]);
    terminal.wait_for_text(&["quit; the services go on"]);
}

#[test]
fn a_service_in_back_off_tells_its_attempts() {
    let crashing = service("thor", "svc-crashing", &[])
        + "restart = { backoff = \"1h\", backoff_max = \"1h\" }\n";
    let hall = TestDaemon::start(&crashing);
    hall.wait_for_state("thor", "restarting");
    let Some(terminal) = Terminal::run(hall.command().arg("top"), (120, 30)) else {
        return;
    };
    terminal.wait_for_text(&["restarting in ", "1 of 3 attempts in 10 min", "exit code"]);
}

#[test]
fn top_survives_resizing_and_a_daemon_that_goes_away_and_comes_back() {
    let Some((mut hall, terminal)) = watched(&two_services()) else {
        return;
    };
    let ruled = |columns: usize| {
        move |screen: &str| {
            let mut rules = screen.lines().filter(|line| line.starts_with(" freki ─"));
            rules.any(|line| line.chars().count() == columns)
        }
    };
    terminal.wait_for("the whole width", ruled(80));
    terminal.resize(120, 40);
    terminal.wait_for("more width", ruled(120));
    terminal.resize(44, 12);
    terminal.wait_for("the services alone", |screen| {
        row("freki", &["running"])(screen) && !screen.contains(" freki ─")
    });
    terminal.resize(80, 24);
    terminal.wait_for("the whole width again", ruled(80));

    hall.signal(Signal::SIGTERM);
    assert!(hall.wait().success());
    terminal.wait_for_text(&["no daemon for", "trying again", "freki "]);
    hall.spawn();
    terminal.wait_for("the next daemon", |screen| {
        !screen.contains("no daemon for") && row("thor", &["running"])(screen)
    });
    terminal.press(&["Down", "x"]);
    terminal.wait_for("thor stopped", row("thor", &["stopped"]));
}

#[test]
fn the_terminal_is_given_back_whatever_ends_top() {
    let hall = TestDaemon::start(&two_services());
    // What the terminal was set to before and after, and how it ended.
    let folder = hall.path("");
    let script = format!(
        "cd '{}'; stty -g >before; \
         sh -c 'echo $$ >pid.new; mv pid.new pid; exec \"$@\"' sh \"$@\"; \
         code=$?; stty -g >after; echo \"ended with $code\"; exec sleep 1000",
        folder.display()
    );
    for (end, code) in [("q", 0), ("C-c", 0), ("SIGTERM", 143), ("SIGINT", 130)] {
        let command = in_shell(&script, hall.command().arg("top"));
        let Some(terminal) = Terminal::run(&command, SMALL) else {
            return;
        };
        terminal.wait_for("thor running", row("thor", &["running"]));
        assert!(terminal.is_taken_over());
        let signal = match end {
            "SIGTERM" => Some(Signal::SIGTERM),
            "SIGINT" => Some(Signal::SIGINT),
            _ => None,
        };
        match signal {
            Some(signal) => {
                let pid = i32::try_from(hall.pid_in("pid")).unwrap();
                kill(Pid::from_raw(pid), signal).unwrap();
            }
            None => terminal.press(&[end]),
        }
        terminal.wait_for_text(&[&format!("ended with {code}")]);
        assert!(!terminal.is_taken_over(), "{end}");
        let state = |name: &str| fs::read_to_string(hall.path(name)).unwrap();
        assert_eq!(state("before"), state("after"), "{end}");
        fs::remove_file(hall.path("pid")).unwrap();
    }
}

#[test]
fn ctrl_z_suspends_top_and_the_shell_brings_it_back() {
    let hall = TestDaemon::start(&two_services());
    let shell = in_shell("PS1='prompt> ' exec sh -i", &hall.command());
    let Some(terminal) = Terminal::run(&shell, SMALL) else {
        return;
    };
    let top = hall.command();
    let words = std::iter::once(top.get_program()).chain(top.get_args());
    let words: Vec<_> = words.map(|word| format!("'{}'", word.display())).collect();
    terminal.wait_for_text(&["prompt>"]);
    terminal.type_in(&format!("{} top", words.join(" ")));
    terminal.press(&["Enter"]);
    terminal.wait_for("thor running", row("thor", &["running"]));
    terminal.press(&["C-z"]);
    wait_until("the shell's screen", || {
        (!terminal.is_taken_over()).then_some(())
    });
    terminal.wait_for_text(&["top", "prompt>"]);
    // Typing is seen: the terminal is as a shell wants it.
    terminal.type_in("echo as$((6*7))before");
    terminal.press(&["Enter"]);
    terminal.wait_for_text(&["echo as", "as42before"]);
    terminal.type_in("fg");
    terminal.press(&["Enter"]);
    terminal.wait_for("thor running", row("thor", &["running"]));
    assert!(terminal.is_taken_over());
    terminal.press(&["q"]);
    terminal.wait_for_text(&["prompt>"]);
}

#[test]
fn without_a_terminal_top_refuses_and_says_what_to_do() {
    let hall = TestDaemon::prepare(&two_services());
    let refused = hall.cli(["top"]).expect_code(2);
    assert!(refused.stderr.contains("needs a terminal"), "{refused:#?}");
    assert!(refused.stderr.contains("gladsheim status"), "{refused:#?}");
    assert_eq!(refused.stdout, "");
}
