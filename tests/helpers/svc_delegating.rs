//! Starts itself as the real server, in a session of its own, tells `MAINPID` and `READY`, and ends.
//!
//! The server ends with code 7 when it is asked to; on SIGHUP it says that it reloads, and stays so until the
//! file `--reloaded FILE` exists.

#![expect(
    clippy::expect_used,
    reason = "a helper that cannot play its part says so and ends"
)]
#![expect(clippy::zombie_processes, reason = "it ends before the server does")]

use std::{env, path::Path, process, thread, time::Duration};

use gladsheim_tests::helper::{Requests, announce, flag, notify, option};
use nix::sys::signal::Signal;

fn main() {
    if !flag("--server") {
        let program = env::current_exe().expect("has a path");
        let server = process::Command::new(program)
            .args(env::args().skip(1))
            .arg("--server")
            .spawn()
            .expect("starts");
        notify(&format!("MAINPID={}\nREADY=1", server.id()));
        return;
    }
    let requests = Requests::catch();
    nix::unistd::setsid().expect("it leads no group");
    announce();
    loop {
        match requests.wait() {
            Signal::SIGTERM | Signal::SIGINT => process::exit(7),
            Signal::SIGHUP => reload(),
            _ => {}
        }
    }
}

fn reload() {
    notify("RELOADING=1\nSTATUS=reading it all again");
    let file = option("--reloaded").expect("--reloaded is needed");
    while !Path::new(&file).exists() {
        thread::sleep(Duration::from_millis(5));
    }
    notify("READY=1\nSTATUS=serving");
}
