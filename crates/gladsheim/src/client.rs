//! Commands that ask a daemon: each connects, calls, prints, and turns the answer into an exit code.
//!
//! The daemon words its refusals, way out included; only what happens on this side is worded here.

mod author;
mod check;
mod connect;
mod error;
mod lifecycle;
mod pattern;
mod query;
mod reload;
mod remote;
mod shutdown;
mod status;
mod stream;
mod top;
mod up;
mod upgrade;
mod wait;

use std::process::ExitCode;

use gladsheim_proto::v1::ListServicesRequest;

pub(crate) use self::{
    author::{import, init},
    check::{check, warn_of},
    connect::load_hall,
    error::CliError,
    top::top,
    up::up,
    upgrade::check_handover,
};
use self::{connect::Session, error::about};
use crate::{
    cli::{Ask, Global},
    output::Output,
};

/// Names of all services of the daemon that is meant, for a shell that completes them.
pub(crate) async fn service_names(global: &Global) -> Result<Vec<String>, CliError> {
    let session = Session::open(global, Output::new(global.format)).await?;
    let request = ListServicesRequest::default();
    let list = session.client.list_services(request).await;
    let list = list.map_err(|status| CliError::of_status(None, status))?;
    let names = list.services.into_iter();
    Ok(names.map(|service| service.service_name).collect())
}

/// Asks the daemon that is meant.
pub(crate) async fn ask(
    command: Ask,
    global: &Global,
    output: Output,
) -> Result<ExitCode, CliError> {
    let session = Session::open(global, output).await?;
    match command {
        Ask::Load(args) => lifecycle::load(&session, args).await,
        Ask::Start(args) => lifecycle::start(&session, args).await,
        Ask::Stop(args) => lifecycle::stop(&session, args).await,
        Ask::Restart(args) => lifecycle::restart(&session, args).await,
        Ask::Kill(args) => lifecycle::kill(&session, args).await,
        Ask::Signal(args) => lifecycle::signal(&session, args).await,
        Ask::Reset(args) => lifecycle::reset(&session, args).await,
        Ask::Maintenance(args) => lifecycle::maintenance(&session, args).await,
        Ask::Status(args) => status::status(&session, args).await,
        Ask::Logs(args) => stream::logs(&session, args).await,
        Ask::Events(args) => stream::events(&session, args).await,
        Ask::Health(args) => query::health(&session, args).await,
        Ask::CheckHealth(args) => query::check_health(&session, args).await,
        Ask::Usage(args) => query::usage(&session, args).await,
        Ask::Limits(args) => query::limits(&session, args).await,
        Ask::Stats => query::stats(&session).await,
        Ask::Endpoints(args) => query::endpoints(&session, args).await,
        Ask::Wait(args) => wait::wait(&session, args).await,
        Ask::Plan => reload::plan(&session).await,
        Ask::Reload => reload::reload(&session).await,
        Ask::LogLevel(args) => query::log_level(&session, args).await,
        Ask::Upgrade => upgrade::upgrade(&session).await,
        Ask::Shutdown => shutdown::shutdown(&session).await,
    }
}
