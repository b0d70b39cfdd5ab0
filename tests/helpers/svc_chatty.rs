//! Writes `line 1` to `line N` (`--lines N`), odd ones to standard output and even ones to standard error;
//! with `--every MS`, one after another until it is killed.

use std::{thread::sleep, time::Duration};

use gladsheim_tests::helper::{Requests, announce, complain, number, say};

fn write(line: u64) {
    if line % 2 == 1 {
        say(&format!("line {line}"));
    } else {
        complain(&format!("line {line}"));
    }
}

fn main() {
    if let Some(pause) = number("--every") {
        announce();
        for line in 1.. {
            write(line);
            // The pace is what it is asked for, not something to wait for.
            sleep(Duration::from_millis(pause));
        }
    }
    let requests = Requests::catch();
    for line in 1..=number("--lines").unwrap_or(10) {
        write(line);
    }
    announce();
    requests.wait_to_end();
}
