//! Real processes through the public API, in each containment that this machine offers.
#![expect(clippy::expect_used, reason = "helpers of tests may panic as tests do")]

mod containment;
mod lifecycle;
mod output;
mod refusal;
mod soak;
mod spawn;
mod support;
