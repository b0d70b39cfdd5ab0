//! The hall file, `gladsheim.toml`: found, read and checked, all of its errors at once.
//!
//! # Theory of operation
//!
//! Reading is pure: a text, the path it came from and an [`Environment`] give a [`Hall`] or a [`HallError`]. The
//! text becomes a table of spanned values, which hand-written readers (one module for each section) walk by
//! the cursor of `reader`. A reader that meets something wrong reports it with its place and goes on with
//! the default, so that a single reading finds everything; the half-right result is then thrown away. What
//! concerns several sections (dependencies, groups) is checked last.
//!
//! What only the machine can tell (is the program there?) is no matter of reading: see [`check_environment`].

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::keeper;
use gladsheim_core::{GladsheimConfig, GroupStrategy, thjalfi::ServiceLoaderConfig};
use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

pub use self::{
    access::{Access, Grantee, Grants, Principal, Role},
    diagnostic::{Diagnostic, HallError, Position, Severity},
    discover::{NoHall, discover},
    environment::Environment,
    inspect::check_environment,
    listen::Listen,
};
pub(crate) use self::{discover::FILE_NAME, name::LONGEST_NAME, privilege::is_capability};
use self::{
    reader::Table,
    report::Report,
    service::{Common, Service},
};

mod access;
mod daemon_keys;
mod dependency;
mod diagnostic;
mod discover;
mod environment;
mod files;
mod group;
mod health;
mod inspect;
mod limits;
mod listen;
mod name;
mod paths;
mod privilege;
mod reader;
mod report;
mod restart;
mod servants;
mod service;
mod value;

#[cfg(test)]
mod test;

/// JSON schema of the hall file (draft 7), for editors. Tests hold it against the readers below.
pub(crate) const SCHEMA: &str = include_str!("hall/schema.json");

/// Everything that a hall file says, with every default filled in and every path made absolute.
#[derive(Debug, Clone, PartialEq)]
pub struct Hall {
    /// The file, canonical; its folder is what relative paths are relative to.
    pub file: PathBuf,
    /// Where the journal and the logs are.
    pub state_dir: PathBuf,
    /// The control socket; at most 107 bytes long.
    pub socket: PathBuf,
    /// For the servants and the hall itself, services in the order of the file.
    pub config: GladsheimConfig,
    /// Where metrics are served, a loopback address; off if absent.
    pub metrics: Option<SocketAddr>,
    /// Whether the daemon reloads when the file changes. Default: false.
    pub on_file_change: bool,
    /// Where the daemon listens on the network. Default: nowhere.
    pub listen: Option<Listen>,
    /// Who may do what beyond the daemon's own user and root. Default: nobody.
    pub access: Access,
    /// Strategies of the restart groups by name.
    pub groups: BTreeMap<String, GroupStrategy>,
    /// What will hardly do what was meant; nothing keeps the hall from being used.
    pub warnings: Vec<Diagnostic>,
    /// Of the services' own keys and, under the empty key, of the services themselves.
    positions: HashMap<String, BTreeMap<String, Position>>,
}

impl Hall {
    /// Reads and checks a hall file. Blocks for as long as the file system does.
    ///
    /// # Errors
    ///
    /// If it cannot be read or used: everything that is wrong, at once.
    pub fn load(path: &Path, environment: &Environment) -> Result<Self, HallError> {
        let whole = |message: String| HallError::whole(path, message);
        let unreadable = |error: io::Error| {
            match error.kind() {
            io::ErrorKind::NotFound => whole(
                "there is no such file; name another one with --hall, or write it: an empty file is a \
                 hall without services"
                    .to_owned(),
            ),
            _ => whole(format!("cannot be read: {error}")),
        }
        };
        let file = path.canonicalize().map_err(unreadable)?;
        // Anything but a regular file could block or never end.
        if !fs::metadata(&file).map_err(unreadable)?.is_file() {
            return Err(whole("is no regular file".to_owned()));
        }
        let bytes = fs::read(&file).map_err(unreadable)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let offset = error.utf8_error().valid_up_to();
            let line = 1 + error.as_bytes()[..offset]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count();
            whole(format!("is not UTF-8 text: see line {line}"))
        })?;
        let mut hall = Self::parse(&text, &file, environment)?;
        for service in &mut hall.config.services {
            service.files = files::look(service, environment);
        }
        Ok(hall)
    }

    /// Checks the text of the hall file whose canonical path is `file`. Pure: nothing is looked up.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the text, in its order, or the first error where it is no TOML.
    pub fn parse(text: &str, file: &Path, environment: &Environment) -> Result<Self, HallError> {
        if file.to_str().is_none() {
            return Err(HallError::whole(
                file,
                "the path of a hall file must be UTF-8",
            ));
        }
        let report = Report::new(file, text);
        let hall = match DeTable::parse(text) {
            Ok(document) => Some(read(document.get_ref(), file, environment, &report)),
            Err(error) => {
                let message = error.message().replace('\n', ", ");
                report.error(&error.span().unwrap_or(0..0), message);
                None
            }
        };
        let diagnostics = report.into_diagnostics();
        let is_error = |diagnostic: &Diagnostic| diagnostic.severity == Severity::Error;
        match hall {
            Some(hall) if !diagnostics.iter().any(is_error) => Ok(Self {
                warnings: diagnostics,
                ..hall
            }),
            _ => Err(HallError { diagnostics }),
        }
    }

    /// Where the file says `key` of a service, or, with the empty key, where the service begins.
    pub fn position(&self, service_name: &str, key: &str) -> Option<Position> {
        self.positions.get(service_name)?.get(key).copied()
    }
}

/// Reads the whole document; the result counts only if nothing has been reported as an error.
fn read(
    document: &DeTable<'_>,
    file: &Path,
    environment: &Environment,
    report: &Report<'_>,
) -> Hall {
    let mut root = Table::root(report, document);
    let folder = file.parent().unwrap_or(Path::new("/"));
    let hash = paths::short_hash(file);
    let (state_dir, socket) = paths::read(&mut root, folder, &hash, environment);

    let platform = servants::platform(root.field("platform"));
    let loader = ServiceLoaderConfig {
        containment: servants::containment(root.field("containment")),
        cgroup_name: Some(format!("gladsheim-{hash}")),
        log_dir: Some(state_dir.join("logs")),
        keeper: Some(keeper::config(&state_dir)),
        ..servants::loader(root.field("loader"))
    };
    let (resources, limits) =
        servants::resources(root.field("resources"), platform, environment.cpus);
    let mut health = servants::health(root.field("health"));
    health.load_guard = root.field("load_guard").boolean().or(health.load_guard);
    let groups = group::read(root.field("groups"));
    let common = Common {
        folder,
        loader: &loader,
        health: &health,
        limits: &limits,
        groups: &groups,
        platform,
        cpus: environment.cpus,
    };
    let services: Vec<_> = root
        .field("services")
        .entries()
        .into_iter()
        .filter_map(|entry| service::read(entry, &common))
        .collect();
    check_references(&services, &groups, report);

    Hall {
        file: file.to_path_buf(),
        socket,
        metrics: root
            .field("metrics")
            .text()
            .then(value::loopback)
            .optional(),
        on_file_change: root.field("on_file_change").boolean().or(false),
        listen: listen::read(root.field("listen"), folder),
        access: access::read(root.field("access")),
        groups,
        positions: positions(document, report),
        config: GladsheimConfig {
            state_dir: Some(state_dir.clone()),
            shutdown_deadline: root.field("shutdown_deadline").duration().optional(),
            loader,
            resources,
            health,
            services: services
                .into_iter()
                .map(|service| service.definition)
                .collect(),
            events_before: 0,
        },
        state_dir,
        warnings: Vec::new(),
    }
}

/// Checks what services say about each other and about groups.
fn check_references(
    services: &[Service],
    groups: &BTreeMap<String, GroupStrategy>,
    report: &Report<'_>,
) {
    let edges: Vec<_> = services
        .iter()
        .map(|service| (service.definition.name.as_str(), service.edges.as_slice()))
        .collect();
    dependency::check(&edges, report);
    for (group, span) in services.iter().filter_map(|service| service.group.as_ref()) {
        if !groups.contains_key(group) {
            let hint = name::hint(group, groups.keys().map(String::as_str));
            report.error(
                span,
                format!("restart_group: there is no [groups.{group}]{hint}"),
            );
        }
    }
}

/// Where the services and their own keys stand.
fn positions(
    document: &DeTable<'_>,
    report: &Report<'_>,
) -> HashMap<String, BTreeMap<String, Position>> {
    let services = document
        .get("services")
        .and_then(|services| services.get_ref().as_table());
    let of_service = |(name, service): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
        let keys = service.get_ref().as_table().into_iter().flatten();
        let positions = keys
            .map(|(key, value)| {
                (
                    key.get_ref().to_string(),
                    report.position(value.span().start),
                )
            })
            .chain([(String::new(), report.position(name.span().start))])
            .collect();
        (name.get_ref().to_string(), positions)
    };
    services.into_iter().flatten().map(of_service).collect()
}
