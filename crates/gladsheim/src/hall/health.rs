//! `[services.X.health]`, `readiness` and `startup`: how a service is checked.

use std::{path::Path, time::Duration};

use gladsheim_core::roskva::{CheckOptions, HealthCheckStrategy, HealthMonitorConfig};

use super::{
    paths,
    reader::{Field, Table},
    value,
};

/// The keys of which exactly one says how to check.
const STRATEGIES: [&str; 5] = ["http", "grpc", "process", "tcp", "exec"];

/// Reads one check; `None` if there is no such section.
pub(super) fn read(
    field: Field<'_>,
    name: String,
    folder: &Path,
    common: &HealthMonitorConfig,
) -> Option<CheckOptions> {
    let mut table = field.table(name.as_str())?;
    let timeout = table
        .field("timeout")
        .duration()
        .positive()
        .or(common.health_check_timeout);
    let strategy = strategy(&mut table, &name, folder, timeout);
    let common = common.check_options(strategy);
    let shutdown_timeout = table.field("shutdown_timeout").duration().then(|time| {
        let ends_runs = !name.ends_with(".readiness]");
        ends_runs
            .then_some(time)
            .ok_or_else(|| "goes with health and startup: readiness ends no run".to_owned())
    });
    Some(CheckOptions {
        interval: table
            .field("interval")
            .duration()
            .positive()
            .or(common.interval),
        failure_threshold: table
            .field("failure_threshold")
            .integer(1..=u32::MAX)
            .or(common.failure_threshold),
        success_threshold: table
            .field("success_threshold")
            .integer(1..=u32::MAX)
            .or(common.success_threshold),
        start_period: table
            .field("start_period")
            .duration()
            .or(common.start_period),
        shutdown_timeout: shutdown_timeout.optional(),
        strategy: common.strategy,
    })
}

fn strategy(
    table: &mut Table<'_>,
    name: &str,
    folder: &Path,
    timeout: Duration,
) -> HealthCheckStrategy {
    match table.present(&STRATEGIES)[..] {
        [_] => {}
        [] => table.error(format!(
            "{name} needs exactly one of {}; it has none",
            STRATEGIES.join(", ")
        )),
        ref several => table.error(format!(
            "{name} needs exactly one of {}; it has {}",
            STRATEGIES.join(", "),
            several.join(" and ")
        )),
    }
    let has_grpc = !table.present(&["grpc"]).is_empty();
    let service = table
        .field("service")
        .text()
        .then(|service| {
            if has_grpc {
                Ok(service)
            } else {
                Err("goes with `grpc` only".to_owned())
            }
        })
        .or_default();
    let http = table
        .field("http")
        .text()
        .then(|url| http_target(url, folder));
    let grpc = table
        .field("grpc")
        .text()
        .then(|address| grpc_target(address, folder));
    let tcp = table.field("tcp").text().then(value::host_port);
    let exec = table.field("exec").command();
    let process = table.field("process").boolean().then(|on| {
        on.then_some(HealthCheckStrategy::Process)
            .ok_or_else(|| "is the default and cannot be turned off, only replaced".to_owned())
    });
    http.map(|url| HealthCheckStrategy::Http { url, timeout })
        .optional()
        .or(grpc
            .map(|address| HealthCheckStrategy::Grpc {
                address,
                service_name: service.to_owned(),
                timeout,
            })
            .optional())
        .or(tcp
            .map(|address| HealthCheckStrategy::Tcp {
                address: address.to_owned(),
                timeout,
            })
            .optional())
        .or(exec
            .map(|words| HealthCheckStrategy::Exec {
                command: paths::command(folder, words),
                timeout,
            })
            .optional())
        .or(process.optional())
        .unwrap_or_default()
}

/// `http://HOST:PORT/PATH`, or `unix:SOCKET:/PATH` with the socket resolved.
fn http_target(text: &str, folder: &Path) -> Result<String, String> {
    let Some(target) = text.strip_prefix("unix:") else {
        return value::http_url(text).map(str::to_owned);
    };
    match target.split_once(":/") {
        Some((socket, path)) if !socket.is_empty() => {
            Ok(format!("unix:{}:/{path}", folder.join(socket).display()))
        }
        _ => Err(format!("expected \"unix:SOCKET:/PATH\", found {text:?}")),
    }
}

/// `HOST:PORT`, or `unix:SOCKET` with the socket resolved.
fn grpc_target(text: &str, folder: &Path) -> Result<String, String> {
    match text.strip_prefix("unix:") {
        None => value::host_port(text).map(str::to_owned),
        Some("") => Err("the socket's path is missing".to_owned()),
        Some(socket) => Ok(format!("unix:{}", folder.join(socket).display())),
    }
}
