//! The real daemon on a kernel with all controllers, in a machine that is thrown away afterwards:
//! `cargo xtask vm-test` boots it. Elsewhere each of these tests is skipped, since they change the
//! root of the cgroup tree.

#![expect(clippy::expect_used, reason = "helpers of tests may panic as tests do")]

mod cpu;
mod delegation;
mod group;
mod memory;
mod pids;
