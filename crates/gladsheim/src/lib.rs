//! Gladsheim, a service supervisor for one machine: daemon and command line in one binary.
//!
//! The outermost crate: only it knows files, sockets and terminals.

pub mod hall;

mod cli;
mod client;
mod daemon;
mod demo;
