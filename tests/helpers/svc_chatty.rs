//! Writes `line 1` to `line N` (`--lines N`), odd ones to standard output and even ones to standard error.

use gladsheim_tests::helper::{Requests, announce, complain, number, say};

fn main() {
    let requests = Requests::catch();
    for line in 1..=number("--lines").unwrap_or(10) {
        if line % 2 == 1 {
            say(&format!("line {line}"));
        } else {
            complain(&format!("line {line}"));
        }
    }
    announce();
    requests.wait_to_end();
}
