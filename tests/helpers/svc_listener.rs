//! Listens on `--port N` until it is asked to end; says so and ends with code 1 if somebody else does already.

#![expect(
    clippy::expect_used,
    reason = "a helper that cannot play its part says so and ends"
)]

use std::{
    net::{Ipv4Addr, TcpListener},
    process::ExitCode,
};

use gladsheim_tests::helper::{Requests, announce, complain, number};

fn main() -> ExitCode {
    let requests = Requests::catch();
    let port = u16::try_from(number("--port").expect("--port is needed")).expect("is a port");
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_listener) => {
            announce();
            requests.wait_to_end();
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&format!("port {port}: {error}"));
            ExitCode::FAILURE
        }
    }
}
