//! Thjalfi, the service loader: turns a service name into a running process and back.

pub use crate::{
    api::ServiceLoaderApi,
    authorize::{Admission, AuthorizeError, Authorizer, StartRequest},
    config::{Containment, LogRotation, Readiness, ServiceLoaderConfig, StartOptions},
    error::{ServiceLoaderError, SpawnError, Stage},
    event::ProcessEvent,
    heimdall::Heimdall,
    identity::Identity,
    limits::raise_descriptor_limit,
    loader::{Ports, ServiceLoader},
    log::{LogLine, LogQuery, LogStream, OutputStream},
    notify::Notice,
    os::OsSpawner,
    process::{ProcessExit, ServiceProcess, SignalTarget},
    signal::Signal,
    spawn::{ChildProcess, ProcessSpawner, SpawnSpec},
};

mod actor;
mod api;
mod authorize;
mod capability;
mod cgroup;
mod command;
mod config;
mod env;
mod error;
mod event;
mod exec;
mod follow;
mod heimdall;
mod identity;
mod limits;
mod loader;
mod log;
mod logfile;
mod notify;
mod options;
mod os;
mod output;
mod process;
mod procfs;
mod reaper;
mod session;
mod signal;
mod slots;
mod spawn;
mod sys;

#[cfg(any(test, feature = "mock"))]
pub mod mock;
