//! Byggvir's public API over real processes and this host's kernel.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]
#![expect(
    clippy::print_stdout,
    reason = "children speak to their parent, tests say what they skip"
)]

mod burden;
mod conformance;
mod monitoring;
