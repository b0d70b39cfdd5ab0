//! Starts itself as the real server, in a session of its own, tells `MAINPID` and `READY`, and ends.
//!
//! The server ends with code 7 when it is asked to.

#![expect(
    clippy::expect_used,
    reason = "a helper that cannot play its part says so and ends"
)]
#![expect(clippy::zombie_processes, reason = "it ends before the server does")]

use std::{env, process};

use gladsheim_tests::helper::{Requests, announce, flag, notify};

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
    requests.wait_to_end();
    process::exit(7);
}
