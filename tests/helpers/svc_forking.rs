//! Leaves a grandchild behind: in a session of its own, deaf to SIGTERM, its pid in `--grandchild FILE`.
//!
//! Forking twice by `exec` of itself: leader, `middle` (which ends at once), `grandchild`.

#![expect(
    clippy::expect_used,
    reason = "a helper that cannot play its part says so and ends"
)]

use std::{
    env,
    process::{Command, Stdio},
};

use gladsheim_tests::helper::{Requests, announce, announce_in, for_ever, option};

fn main() {
    let file = option("--grandchild").expect("--grandchild is needed");
    match env::args().nth(1).as_deref() {
        Some("middle") => {
            // Nobody waits for it: that it outlives its parents is the point.
            drop(own_program("grandchild", &file).spawn().expect("spawns"));
        }
        Some("grandchild") => {
            let _ignored = Requests::catch();
            nix::unistd::setsid().expect("is no leader of a process group");
            announce_in(&file);
            for_ever()
        }
        _ => {
            let requests = Requests::catch();
            let middle = own_program("middle", &file).status().expect("spawns");
            assert!(middle.success(), "{middle}");
            gladsheim_tests::wait_until("the grandchild", || {
                std::path::Path::new(&file).exists().then_some(())
            });
            announce();
            requests.wait_to_end();
        }
    }
}

fn own_program(part: &str, file: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("the program has a path"));
    command
        .args([part, "--grandchild", file])
        .stdin(Stdio::null());
    command
}
