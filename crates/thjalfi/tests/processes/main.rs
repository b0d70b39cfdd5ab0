//! Real processes through the public API, in each containment that this machine offers.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests may panic and print as tests do"
)]

mod adopt;
mod beside;
mod containment;
mod lifecycle;
mod load;
mod notify;
mod orphan;
mod output;
mod refusal;
mod soak;
mod socket;
mod spawn;
mod support;
