//! Thjalfi, the service loader: turns a service name into a running process and back.

pub use crate::{
    api::ServiceLoaderApi,
    config::{Containment, LogRotation, Readiness, ServiceLoaderConfig, StartOptions},
    error::ServiceLoaderError,
    event::ProcessEvent,
    log::{LogLine, LogQuery, LogStream, OutputStream},
    process::{ProcessExit, ServiceProcess, SignalTarget},
    signal::Signal,
};

mod api;
mod config;
mod error;
mod event;
mod log;
mod process;
mod signal;

#[cfg(any(test, feature = "mock"))]
pub mod mock;
