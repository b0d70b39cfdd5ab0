//! `[services.X]`: one service.

use std::{collections::BTreeMap, path::Path};

use gladsheim_core::{
    FileMarks, GroupStrategy, RestartGroup, ServiceDefinition,
    byggvir::Platform,
    roskva::{HealthMonitorConfig, MonitorOptions},
    thjalfi::{LogRotation, Readiness, ServiceLoaderConfig, Signal, SocketAddress, StartOptions},
};

use super::{
    dependency::{self, Edge},
    health,
    limits::Limits,
    name, paths, privilege,
    reader::{Entry, Field, Table},
    report::Span,
    restart, value,
};

/// What services inherit from the rest of the file.
pub(super) struct Common<'a> {
    pub(super) folder: &'a Path,
    pub(super) loader: &'a ServiceLoaderConfig,
    pub(super) health: &'a HealthMonitorConfig,
    pub(super) limits: &'a Limits,
    pub(super) groups: &'a BTreeMap<String, GroupStrategy>,
    pub(super) platform: Platform,
    pub(super) cpus: usize,
}

/// A service as read, with the places that other services and sections are compared with.
pub(super) struct Service {
    pub(super) definition: ServiceDefinition,
    pub(super) edges: Vec<Edge>,
    pub(super) group: Option<(String, Span)>,
}

/// Reads one service; `None` if it is not even a table.
pub(super) fn read(entry: Entry<'_>, common: &Common<'_>) -> Option<Service> {
    entry.check_name(name::check);
    let service = entry.name;
    let section = |kind: &str| format!("[services.{service}.{kind}]");
    let mut table = entry.field.table(format!("[services.{service}]"))?;

    let path = table.required("path").filled();
    let path = path
        .map(|text| paths::program(common.folder, text))
        .or_default();
    let (readiness, ready_by_health) = table.field("ready").text().then(ready).or_default();
    let edges = dependency::read(table.field("depends_on"));
    let group = table.field("restart_group").filled().owned().located();
    let sockets = table
        .field("sockets")
        .list(|item| item.text().then(str::parse))
        .or_default();

    let mut check = |kind| {
        health::read(
            table.field(kind),
            section(kind),
            common.folder,
            common.health,
        )
    };
    let liveness = check("health");
    let monitor = MonitorOptions {
        readiness: check("readiness"),
        startup: check("startup"),
        liveness: liveness.unwrap_or_else(|| common.health.check_options(Default::default())),
        restart: restart::read(
            table.field("restart"),
            service,
            common.health.restart_policy(),
        ),
        ..MonitorOptions::default()
    };
    let limits = Limits::read(table.field("limits"), &section("limits"), common.cpus);
    let (limits, limit_policy) = limits.or(common.limits).resolve(common.platform);

    let definition = ServiceDefinition {
        name: service.to_owned(),
        // Whoever reads a file looks at them: see `Hall::load`.
        files: FileMarks::default(),
        path,
        ready_by_health,
        autostart: table.field("autostart").boolean().or(true),
        depends_on: edges.iter().map(|edge| edge.dependency.clone()).collect(),
        shutdown_timeout: table
            .field("shutdown_timeout")
            .duration()
            .or(common.loader.shutdown_timeout),
        essential: table.field("essential").boolean().or(false),
        endpoints: table
            .field("endpoints")
            .list(|item| item.filled().owned())
            .or_default(),
        monitor,
        limits,
        limit_policy,
        restart_group: group.as_ref().map(|(group, _)| RestartGroup {
            name: group.clone(),
            // One that is not there is reported with the other references.
            strategy: common.groups.get(group).copied().unwrap_or_default(),
        }),
        metadata: table.field("metadata").texts(|_| Ok(())).collect(),
        start: StartOptions {
            log_rotation: logs(table.field("logs"), &section("logs")),
            readiness,
            sockets: sockets
                .into_iter()
                .map(|address| beside(common.folder, address))
                .collect(),
            ..start(&mut table, common)
        },
    };
    Some(Service {
        definition,
        edges,
        group,
    })
}

/// The keys that say how the process is made.
fn start(table: &mut Table<'_>, common: &Common<'_>) -> StartOptions {
    let folder = common.folder;
    let mut path = |key| {
        table
            .field(key)
            .filled()
            .map(|text| folder.join(text))
            .optional()
    };
    let (env_file, working_dir) = (path("env_file"), path("working_dir"));
    let mut command = |key| {
        table
            .field(key)
            .command()
            .map(|words| paths::command(folder, words))
            .optional()
    };
    let (pre_start, post_stop) = (command("pre_start"), command("post_stop"));
    StartOptions {
        args: table
            .field("args")
            .list(|item| item.text().owned())
            .or_default(),
        env_vars: table.field("env").texts(variable).collect(),
        env_file,
        clear_env: table.field("clear_env").boolean().or(false),
        working_dir: Some(working_dir.unwrap_or_else(|| folder.to_path_buf())),
        startup_timeout: table
            .field("startup_timeout")
            .duration()
            .positive()
            .or(common.loader.startup_timeout),
        watchdog: table.field("watchdog").duration().positive().optional(),
        stop_signal: table
            .field("stop_signal")
            .text()
            .then(signal)
            .or(Signal::Terminate),
        user: table.field("user").filled().owned().optional(),
        group: table.field("group").filled().owned().optional(),
        umask: table.field("umask").text().then(value::umask).optional(),
        nice: table.field("nice").integer(-20..=19).optional(),
        oom_score_adj: table
            .field("oom_score_adj")
            .integer(-1000..=1000)
            .optional(),
        no_new_privs: table.field("no_new_privs").boolean().or(false),
        capabilities: table
            .field("capabilities")
            .list(|item| item.text().then(privilege::capability))
            .optional(),
        rlimits: privilege::rlimits(table.field("rlimits")),
        sha256: table.field("sha256").text().then(value::sha256).optional(),
        pre_start,
        post_stop,
        ..StartOptions::default()
    }
}

/// Reads `ready`: what the loader waits for, and whether health decides instead.
fn ready(text: &str) -> Result<(Readiness, bool), String> {
    match text.split_once(':') {
        None if text == "none" => Ok((Readiness::Exec, false)),
        None if text == "health" => Ok((Readiness::Exec, true)),
        None if text == "notify" => Ok((Readiness::Notify, false)),
        Some(("delay", time)) => Ok((Readiness::Delay(value::duration(time)?), false)),
        Some(("log", pattern)) => match regex_lite::Regex::new(pattern) {
            Ok(_) => Ok((Readiness::Log(pattern.to_owned()), false)),
            Err(error) => Err(format!("{pattern:?} is no regular expression: {error}")),
        },
        _ => Err(format!(
            "{text:?} is none of none, notify, health, log:REGEX, delay:1s"
        )),
    }
}

fn signal(text: &str) -> Result<Signal, String> {
    Signal::from_name(text).ok_or_else(|| {
        let known = Signal::ALL.map(Signal::as_str);
        let hint = name::hint(&text.to_ascii_uppercase(), known);
        format!("{text:?} is none of {}{hint}", known.join(", "))
    })
}

/// Checks `tcp:ADDRESS`, `udp:ADDRESS` or `unix:PATH`.
/// A relative path is one in the hall file's folder, as everywhere.
fn beside(folder: &Path, address: SocketAddress) -> SocketAddress {
    match address {
        SocketAddress::Unix(path) => SocketAddress::Unix(folder.join(path)),
        SocketAddress::Tcp(_) | SocketAddress::Udp(_) => address,
    }
}

fn variable(name: &str) -> Result<(), String> {
    if name.is_empty() || name.contains(['=', '\0']) {
        Err(format!("`{name}` cannot be the name of a variable"))
    } else {
        Ok(())
    }
}

fn logs(field: Field<'_>, name: &str) -> LogRotation {
    let default = LogRotation::default();
    let Some(mut table) = field.table(name) else {
        return default;
    };
    LogRotation {
        max_size: table
            .field("max_size")
            .size()
            .then(|size| match size {
                0 => Err("must be more than nothing".to_owned()),
                size => Ok(size),
            })
            .or(default.max_size),
        max_files: table
            .field("max_files")
            .integer(1..=1000)
            .or(default.max_files),
    }
}
