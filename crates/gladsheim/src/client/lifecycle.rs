//! Start, stop and what lies between.

use std::process::ExitCode;

use futures_util::future::join_all;
use gladsheim_proto::{
    reason,
    v1::{
        BringUpRequest, ForceKillServiceRequest, ListServicesRequest, LoadServiceRequest,
        ResetServiceRequest, RestartServiceRequest, ServiceStatus, SetMaintenanceRequest,
        SignalServiceRequest, SlowStop, StartServiceRequest, StopServiceRequest,
    },
};
use tonic::Status;

use super::{CliError, Session, about};
use crate::{
    cli::{Format, Maintenance, Names, Selection, Signal, Start, Stop, Switch},
    output::{Output, status, stop},
};

/// What became of the services of one command. All are tried; the first failure gives the exit code.
#[derive(Debug)]
struct Outcomes {
    output: Output,
    done: Vec<ServiceStatus>,
    slow_stops: Vec<SlowStop>,
    first_failure: Option<ExitCode>,
}

impl Outcomes {
    fn new(output: Output) -> Self {
        Self {
            output,
            done: Vec::new(),
            slow_stops: Vec::new(),
            first_failure: None,
        }
    }

    /// Takes down one, and says so.
    fn add(&mut self, result: Result<Option<ServiceStatus>, CliError>) -> Result<(), CliError> {
        match result {
            Ok(status) => {
                let status = status.unwrap_or_default();
                if self.output.format == Format::Table {
                    self.output.line(&status::sentence(&status, self.output))?;
                }
                self.done.push(status);
            }
            Err(error) => {
                self.output.error(&error);
                self.first_failure.get_or_insert(error.exit_code());
            }
        }
        Ok(())
    }

    /// Takes down whoever delayed a stop, and says so.
    fn add_slow(&mut self, slow: Option<SlowStop>) -> Result<(), CliError> {
        if let Some(slow) = slow {
            if self.output.format == Format::Table {
                self.output.line(&stop::sentence(&slow))?;
            }
            self.slow_stops.push(slow);
        }
        Ok(())
    }

    /// Prints the document, and gives the exit code.
    fn finish(self) -> Result<ExitCode, CliError> {
        if self.output.format == Format::Json {
            let documents = status::outcomes(&self.done, &self.slow_stops);
            self.output.json(&documents)?;
        }
        Ok(self.first_failure.unwrap_or(ExitCode::SUCCESS))
    }
}

/// One after the other, in the order in which they were named.
async fn each(
    session: &Session,
    names: &[String],
    act: impl AsyncFn(String) -> Result<Option<ServiceStatus>, Status>,
) -> Result<ExitCode, CliError> {
    let mut outcomes = Outcomes::new(session.output);
    for name in names {
        outcomes.add(act(name.clone()).await.map_err(about(name)))?;
    }
    outcomes.finish()
}

/// `start`
pub(super) async fn start(session: &Session, args: Start) -> Result<ExitCode, CliError> {
    if args.selection.all {
        return start_all(session).await;
    }
    let names = session.named(args.selection.names).await?;
    each(session, &names, async |service_name| {
        let request = StartServiceRequest {
            service_name,
            env_vars: args.env.iter().cloned().collect(),
            working_dir: args.working_dir.clone(),
            replace_args: !args.args.is_empty(),
            args: args.args.clone(),
            ..StartServiceRequest::default()
        };
        Ok(session.client.start_service(request).await?.status)
    })
    .await
}

/// All that do not run, in the order of their dependencies; those that run are left alone.
async fn start_all(session: &Session) -> Result<ExitCode, CliError> {
    let refused = |status| CliError::of_status(None, status);
    let mut outcomes = Outcomes::new(session.output);
    let service_names = names(session, |_| true).await?;
    if !service_names.is_empty() {
        let request = BringUpRequest { service_names };
        let mut progress = session.client.bring_up(request).await.map_err(refused)?;
        while let Some(progress) = progress.message().await.map_err(refused)? {
            match CliError::of_progress(&progress) {
                Some(error) => outcomes.add(Err(error))?,
                None if progress.error.is_empty() => outcomes.add(Ok(progress.status))?,
                None => {}
            }
        }
    }
    outcomes.finish()
}

/// `stop`
pub(super) async fn stop(session: &Session, args: Stop) -> Result<ExitCode, CliError> {
    let all = args.selection.all;
    let timeout_ms = args
        .timeout
        .map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
    let stop = async |service_name| {
        // Whoever stops all of them has nothing left that could need one.
        let request = StopServiceRequest {
            service_name,
            timeout_ms,
            force: args.force || all,
        };
        session.client.stop_service(request).await
    };
    let mut outcomes = Outcomes::new(session.output);
    let mut pending = select(session, args.selection).await?;
    // Those that are needed only by others of the same command are tried again once these are stopped.
    loop {
        let results = join_all(pending.iter().map(|name| stop(name.clone()))).await;
        let progress = results.iter().any(Result::is_ok);
        let mut refused = Vec::new();
        for (name, result) in pending.into_iter().zip(results) {
            match result {
                Err(status) if progress && has_reason(&status, reason::NEEDED_BY_OTHERS) => {
                    refused.push(name);
                }
                Err(status) if all && has_reason(&status, reason::NOT_RUNNING) => {}
                Ok(stopped) => {
                    outcomes.add(Ok(stopped.status))?;
                    outcomes.add_slow(stopped.slow_stop)?;
                }
                Err(status) => outcomes.add(Err(about(&name)(status)))?,
            }
        }
        if refused.is_empty() {
            return outcomes.finish();
        }
        pending = refused;
    }
}

/// `restart`
pub(super) async fn restart(session: &Session, args: Selection) -> Result<ExitCode, CliError> {
    let names = select(session, args).await?;
    each(session, &names, async |service_name| {
        let request = RestartServiceRequest { service_name };
        Ok(session.client.restart_service(request).await?.status)
    })
    .await
}

/// `kill`
pub(super) async fn kill(session: &Session, args: Selection) -> Result<ExitCode, CliError> {
    let all = args.all;
    let mut outcomes = Outcomes::new(session.output);
    let names = select(session, args).await?;
    let results = join_all(names.iter().map(async |name| {
        let request = ForceKillServiceRequest {
            service_name: name.clone(),
        };
        Ok(session.client.force_kill_service(request).await?.status)
    }));
    for (name, result) in names.iter().zip(results.await) {
        match result {
            Err(status) if all && has_reason(&status, reason::NOT_RUNNING) => {}
            result => outcomes.add(result.map_err(about(name)))?,
        }
    }
    outcomes.finish()
}

/// `signal`
pub(super) async fn signal(session: &Session, args: Signal) -> Result<ExitCode, CliError> {
    let Signal { name, signal } = args;
    let names = session.named(vec![name]).await?;
    for_each(session, names, async |service_name| {
        let signal = signal.clone();
        let request = SignalServiceRequest {
            service_name,
            signal,
        };
        session.client.signal_service(request).await.map(drop)
    })
    .await
}

/// `load`
pub(super) async fn load(session: &Session, args: Names) -> Result<ExitCode, CliError> {
    for_each_or_all(session, args, async |service_name| {
        let request = LoadServiceRequest { service_name };
        session.client.load_service(request).await.map(drop)
    })
    .await
}

/// `reset`
pub(super) async fn reset(session: &Session, args: Names) -> Result<ExitCode, CliError> {
    for_each_or_all(session, args, async |service_name| {
        let request = ResetServiceRequest { service_name };
        session.client.reset_service(request).await.map(drop)
    })
    .await
}

/// Asks for each of the services, also after one has failed; once for all if none is named.
async fn for_each_or_all(
    session: &Session,
    args: Names,
    ask: impl AsyncFn(String) -> Result<(), Status>,
) -> Result<ExitCode, CliError> {
    // The empty name is the wire's "all".
    let names = if args.names.is_empty() {
        vec![String::new()]
    } else {
        session.named(args.names).await?
    };
    for_each(session, names, ask).await
}

/// Asks for each of the services, also after one has failed.
async fn for_each(
    session: &Session,
    names: Vec<String>,
    ask: impl AsyncFn(String) -> Result<(), Status>,
) -> Result<ExitCode, CliError> {
    let mut exit_code = None;
    for name in names {
        if let Err(status) = ask(name.clone()).await {
            let error = about(&name)(status);
            session.output.error(&error);
            exit_code.get_or_insert(error.exit_code());
        }
    }
    Ok(exit_code.unwrap_or(ExitCode::SUCCESS))
}

/// `maintenance`
pub(super) async fn maintenance(
    session: &Session,
    args: Maintenance,
) -> Result<ExitCode, CliError> {
    let on = args.switch == Switch::On;
    let names = session.named(vec![args.name]).await?;
    for_each(session, names, async |service_name| {
        let request = SetMaintenanceRequest { service_name, on };
        session.client.set_maintenance(request).await.map(drop)
    })
    .await
}

/// The named services; with `--all`, those that have something to stop.
async fn select(session: &Session, selection: Selection) -> Result<Vec<String>, CliError> {
    if !selection.all {
        return session.named(selection.names).await;
    }
    names(session, |status| {
        !matches!(&*status.state, "stopped" | "failed" | "unknown")
    })
    .await
}

/// Names of the services of which `wanted` holds, in the order of the hall file.
async fn names(
    session: &Session,
    wanted: impl Fn(&ServiceStatus) -> bool,
) -> Result<Vec<String>, CliError> {
    let services = session
        .client
        .list_services(ListServicesRequest::default())
        .await;
    let services = services
        .map_err(|status| CliError::of_status(None, status))?
        .services;
    Ok(services
        .into_iter()
        .filter(wanted)
        .map(|status| status.service_name)
        .collect())
}

fn has_reason(status: &Status, wanted: &str) -> bool {
    reason::of(status) == Some(wanted)
}
