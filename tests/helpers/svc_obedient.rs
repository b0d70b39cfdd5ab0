//! Ends with code 0 (or `--code N`) as soon as it is asked to; `--ends FILE` gets its `--name` then.

use std::process::ExitCode;

use gladsheim_tests::helper::{Requests, announce, append, number, option, say};

fn main() -> ExitCode {
    let requests = Requests::catch();
    announce();
    requests.wait_to_end();
    say("ending, as asked");
    if let Some(file) = option("--ends") {
        append(&file, &option("--name").unwrap_or_default());
    }
    ExitCode::from(number("--code").unwrap_or(0) as u8)
}
