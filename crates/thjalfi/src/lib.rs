//! Thjalfi, the service loader: turns a service name into a running process and back.
//!
//! # Theory of operation
//!
//! Every running service has exactly one supervisor task, and that task is the only owner of the
//! child process: it alone reaps it, moves it through stop and kill, reads its output and publishes
//! its end. Everything else holds a [`ServiceProcess`], a cheap handle that observes. Signals go
//! through pidfds only, so they never reach a stranger that got the same number.
//!
//! A process is started by `clone3` straight into its cgroup. The child shares memory with this
//! process until `exec`, so a start costs no copy, and a failure of any stage comes back with its
//! errno before [`ServiceLoader::launch_service`] returns.
//!
//! A run ends in this order: the leader is reaped; what is left of its tree is signalled or killed and
//! gone; the rest of its output is written; the `post_stop` command has run; the name is free;
//! [`ServiceProcess::exited`] returns; [`ProcessEvent::Exited`] is told. So whoever awaits the exit
//! can start the next run at once.
//!
//! In session containment this process becomes a subreaper, and the variable `GLADSHEIM_RUN` marks
//! what belongs to a run. Children of other parts of the program are left alone as long as they stay
//! in the program's own session.
//!
//! Depend on [`ServiceLoaderApi`]; construct [`ServiceLoader`].

pub use crate::{
    adopt::{AdoptOptions, ProcessIdentity, boot_id},
    api::ServiceLoaderApi,
    authorize::{Admission, AuthorizeError, Authorizer, StartRequest},
    beside::CommandEnd,
    config::{
        Containment, KeeperConfig, LogRotation, Readiness, ServiceLoaderConfig, StartOptions,
    },
    error::{ServiceLoaderError, SpawnError, Stage},
    event::ProcessEvent,
    heimdall::Heimdall,
    identity::Identity,
    keeper::{Descriptor, server::run_keeper},
    limits::{raise_descriptor_limit, restore_descriptor_limit},
    loader::{Ports, ServiceLoader},
    log::{LogLine, LogQuery, LogStream, OutputStream},
    notify::Notice,
    os::OsSpawner,
    preload::Loaded,
    process::{ProcessExit, ServiceProcess, SignalTarget},
    signal::Signal,
    socket::SocketAddress,
    spawn::{ChildProcess, ProcessSpawner, SpawnSpec},
    tree::ProcessInfo,
    watchdog::WatchdogAlarm,
};

mod actor;
mod adopt;
mod adopted;
mod api;
mod authorize;
mod beside;
mod capability;
mod cgroup;
mod command;
mod config;
mod contract;
mod delegation;
mod env;
mod error;
mod event;
mod exec;
mod follow;
mod group;
mod heimdall;
mod identity;
mod keeper;
mod leftover;
mod limits;
mod loader;
mod log;
mod logfile;
mod main_process;
mod notify;
mod options;
mod os;
mod output;
mod peek;
mod pipes;
mod preload;
mod process;
mod procfs;
mod reaper;
mod session;
mod signal;
mod slots;
mod socket;
mod spawn;
mod sys;
mod tree;
mod watchdog;

#[cfg(any(test, feature = "mock"))]
pub mod mock;

/// Compiles the example of the crate page.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
