//! Harness of the black-box tests: the real binary, real helper services, facts to wait for.
//!
//! A test makes a [`TestDaemon`], talks to it by its command line, and waits for facts with
//! [`wait_until`]. Everything lies in a temporary folder; all processes are ended when it is dropped,
//! found by a marker in their environment. Tests run side by side: nothing is shared but the machine.

#![expect(
    clippy::expect_used,
    reason = "a harness that fails has nobody to report to but the test: it panics"
)]

pub use crate::{
    cli::{Output, run},
    daemon::{TestDaemon, bin, service},
    port::free_port,
    process::Process,
    terminal::{Terminal, in_shell},
    wait::{skip, wait_until},
};

mod cgroup;
mod cli;
mod daemon;
pub mod helper;
mod port;
mod process;
mod terminal;
mod wait;
