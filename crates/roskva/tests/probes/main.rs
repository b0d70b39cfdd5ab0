//! The built-in checks against real endpoints on loopback, well-behaved and otherwise.
#![expect(clippy::expect_used, reason = "helpers of tests fail loudly too")]

mod exec;
mod grpc;
mod http;
mod watch;
mod world;
