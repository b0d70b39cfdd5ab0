//! The workflows over four mocks: order of calls, roll-back at each step, commands that meet.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in a test, a panic is the report"
)]

mod group;
mod hall;
mod plan;
mod reload;
mod restart;
mod start;
mod stop;
