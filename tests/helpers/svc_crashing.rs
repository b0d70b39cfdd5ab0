//! Ends by itself: with `--code N` (default 1) or by `--signal NAME`; at once, `--after-ms N`, or with
//! `--on-user1` when SIGUSR1 comes; with `--runs N` only in its first N runs, counted by `--starts FILE`.
//! Says `line 1` to `line N` before (`--lines N`).

#![expect(
    clippy::expect_used,
    reason = "a helper that cannot play its part says so and ends"
)]

use std::{process::exit, thread::sleep, time::Duration};

use gladsheim_tests::helper::{Requests, announce, flag, number, option, run_number, say};
use nix::sys::signal::{Signal, raise};

fn main() {
    let requests = Requests::catch();
    announce();
    let crashes = number("--runs").is_none_or(|runs| run_number() <= runs);
    if flag("--on-user1") || !crashes {
        match requests.wait() {
            Signal::SIGUSR1 => {}
            _ => exit(0),
        }
    }
    // The time after which it crashes is what it is asked for, not something to wait for.
    sleep(Duration::from_millis(number("--after-ms").unwrap_or(0)));
    for line in 1..=number("--lines").unwrap_or(0) {
        say(&format!("line {line}"));
    }
    say("crashing");
    if let Some(name) = option("--signal") {
        let signal: Signal = name.parse().expect("--signal takes a name like SIGKILL");
        // It may be one of those that are caught.
        requests.release();
        raise(signal).expect("a signal can be raised");
    }
    exit(number("--code").map_or(1, |code| code as i32))
}
