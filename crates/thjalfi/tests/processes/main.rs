//! Real processes through the public API, in each containment that this machine offers.

mod containment;
mod lifecycle;
mod output;
mod refusal;
mod soak;
mod spawn;
mod support;
