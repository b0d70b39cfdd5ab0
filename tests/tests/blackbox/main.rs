//! The real daemon with real services, seen only through its command line, its socket and its signals.

#![expect(
    clippy::unwrap_used,
    reason = "what helps a test may fail as a test does"
)]

mod access;
mod adoption;
mod bad_input;
mod battery;
mod bounds;
mod cli;
mod crash_restart;
mod first_steps;
mod group;
mod grpc;
mod grpc_health;
mod health;
mod init;
mod keeper;
mod limits;
mod logging;
mod main_process;
mod metrics;
mod network;
mod paper;
mod pressure;
mod probes;
mod reload;
mod rounds;
mod shutdown;
mod socket;
mod socket_activation;
mod start_stop;
mod status;
mod third_party;
mod top;
mod up;
mod upgrade;
mod watchdog;
