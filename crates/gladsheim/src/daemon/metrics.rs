//! Metrics of the hall and its services, for Prometheus and whoever else speaks OpenMetrics.
//!
//! Nothing is gathered for them: what the daemon knows anyhow is written down when somebody asks, on a thread of
//! its own, since reading about very many processes takes a while. `docs/metrics.md` lists them all.

use std::time::SystemTime;

use gladsheim_core::Gladsheim;
use gladsheim_proto::v1::Daemon;
use tonic::Code;

use self::exposition::{Dialect, Family, Kind, Page};
pub(super) use self::{
    calls::CallCounts,
    server::{MetricsError, listen, serve},
};
use super::telemetry;

mod calls;
mod exposition;
mod process;
mod server;
mod service;

/// Where metrics come from. Clones share the hall.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    pub(super) hall: Gladsheim,
    pub(super) daemon: Daemon,
    pub(super) calls: CallCounts,
    /// When the daemon began.
    pub(super) began: SystemTime,
}

const fn family(name: &'static str, kind: Kind, help: &'static str) -> Family {
    Family {
        name,
        kind,
        unit: "",
        help,
    }
}

const BUILD: Family = family("gladsheim_build", Kind::Info, "Version of the daemon.");
const HALL: Family = family(
    "gladsheim_hall",
    Kind::Info,
    "The hall file, and how process trees are held together.",
);
const SERVICES: Family = family("gladsheim_services", Kind::Gauge, "Services in each state.");
const JOURNAL: Family = family(
    "gladsheim_journal_writable",
    Kind::Gauge,
    "Whether the journal can be written, so that the next daemon finds everything.",
);
const EVENTS: Family = family(
    "gladsheim_events",
    Kind::Counter,
    "Events on the bus, by kind.",
);
const RPC_CALLS: Family = family(
    "gladsheim_rpc_calls",
    Kind::Counter,
    "CallCounts on the control socket, by method.",
);
const RPC_ERRORS: Family = family(
    "gladsheim_rpc_errors",
    Kind::Counter,
    "Of these, those that were answered by an error at once, by its code.",
);
const LOG_MESSAGES: Family = family(
    "gladsheim_log_messages",
    Kind::Counter,
    "Messages in the daemon's own log, by level.",
);

impl Metrics {
    /// The whole page. Blocks.
    fn page(&self, dialect: Dialect) -> String {
        let mut page = Page::new(dialect);
        let counts = self.hall.event_counts();
        let Daemon {
            version,
            hall_file,
            containment,
            ..
        } = &self.daemon;
        page.family(&BUILD).add(&[("version", version)], 1.0);
        page.family(&HALL)
            .add(&[("file", hall_file), ("containment", containment)], 1.0);
        self.write_services(&mut page);
        let writable = self.hall.journal_problem().is_none();
        page.family(&JOURNAL).add(&[], f64::from(writable));
        let mut events = page.family(&EVENTS);
        for (kind, count) in &counts.kinds {
            events.add(&[("kind", kind)], *count as f64);
        }
        self.write_calls(&mut page);
        let mut messages = page.family(&LOG_MESSAGES);
        for (level, count) in telemetry::messages() {
            messages.add(&[("level", level)], count as f64);
        }
        service::write(&mut page, &self.hall, &counts);
        process::write(&mut page, self.began);
        page.finish()
    }

    fn write_services(&self, page: &mut Page) {
        let counts = self.hall.get_statistics();
        let mut services = page.family(&SERVICES);
        // Each state alone; in the statistics some stand for others too.
        for (state, count) in [
            ("unknown", counts.unknown_count),
            ("starting", counts.starting_count - counts.restarting_count),
            ("running", counts.running_count),
            ("stopping", counts.stopping_count),
            ("stopped", counts.stopped_count - counts.unknown_count),
            ("crashed", counts.crashed_count - counts.failed_count),
            ("restarting", counts.restarting_count),
            ("failed", counts.failed_count),
        ] {
            services.add(&[("state", state)], count as f64);
        }
    }

    fn write_calls(&self, page: &mut Page) {
        let counts = self.calls.counts();
        let mut calls = page.family(&RPC_CALLS);
        for (method, count) in &counts.methods {
            calls.add(&[("method", method)], *count as f64);
        }
        let mut errors = page.family(&RPC_ERRORS);
        for (code, count) in &counts.errors {
            let code = format!("{:?}", Code::from_i32(*code));
            errors.add(&[("code", &code)], *count as f64);
        }
    }
}
