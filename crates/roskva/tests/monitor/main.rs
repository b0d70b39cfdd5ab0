//! The monitor over faked ports, in paused time.
#![expect(clippy::expect_used, reason = "helpers of tests fail loudly too")]

mod contract;
mod ending;
mod fake;
mod guard;
mod observer;
mod pace;
mod schedule;
mod verdict;
