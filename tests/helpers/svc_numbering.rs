//! Writes numbered lines, `PID 1`, `PID 2`, …, and notes each in `--record FILE` once it is written.
//!
//! While it runs it holds a lock on that file, and a second one that comes meanwhile says so in
//! `FILE.twice`. `--every MS` sets its pace; `--stderr` writes there; `--long` makes lines of some KiB;
//! `--child` has a child do the same, in a session of its own, deaf to SIGTERM; `--crash-after N` and
//! `--end-after N` end it after so many lines, with exit code 3 or 0; `--stubborn` ignores SIGTERM.

#![expect(
    clippy::expect_used,
    reason = "a helper that cannot play its part says so and ends"
)]

use std::{
    env, fs,
    io::{Write as _, stderr, stdout},
    process::{Command, Stdio, exit, id},
    thread::sleep,
    time::Duration,
};

use gladsheim_tests::helper::{Requests, announce, append, flag, number, option};

fn main() {
    let is_child = env::args().nth(1).as_deref() == Some("child");
    let _ignored = (is_child || flag("--stubborn")).then(Requests::catch);
    if is_child {
        nix::unistd::setsid().expect("is no leader of a process group");
    }
    let mut record = option("--record").expect("--record is needed");
    if is_child {
        record += ".child";
    } else if flag("--child") {
        bear_child();
    }
    let file = fs::File::options().create(true).append(true).open(&record);
    let mut file = file.expect("opens");
    if file.try_lock().is_err() {
        append(&format!("{record}.twice"), &id().to_string());
    }
    if !is_child {
        announce();
    }
    write_lines(&mut file);
}

fn write_lines(record: &mut fs::File) {
    let pause = Duration::from_millis(number("--every").unwrap_or(10));
    let padding = if flag("--long") {
        "x".repeat(3000)
    } else {
        String::new()
    };
    for line in 1.. {
        let text = format!("{} {line} {padding}\n", id());
        // At once: what is written is whole, also where the next moment brings a SIGKILL.
        let written = if flag("--stderr") {
            stderr().write_all(text.as_bytes())
        } else {
            stdout().write_all(text.as_bytes())
        };
        written.expect("the supervisor's pipe takes it");
        let noted = format!("{} {line}\n", id());
        record.write_all(noted.as_bytes()).expect("is written");
        if number("--crash-after") == Some(line) {
            exit(3);
        }
        if number("--end-after") == Some(line) {
            return;
        }
        // The pace is what it is asked for, not something to wait for.
        sleep(pause);
    }
}

fn bear_child() {
    let arguments = env::args().skip(1).filter(|argument| argument != "--child");
    let mut command = Command::new(env::current_exe().expect("the program has a path"));
    command.arg("child").args(arguments).stdin(Stdio::null());
    // Nobody waits for it: it ends with the tree.
    drop(command.spawn().expect("spawns"));
}
