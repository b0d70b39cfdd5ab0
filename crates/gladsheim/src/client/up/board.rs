//! What `up` knows of each service while the hall comes up or goes down. Pure.
//!
//!   Waiting --starting--> Starting --started--> Started --BringUp's answer--> Checking --verdict--> settled
//!                                                                     '--- no check, or failed ------^

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use gladsheim_proto::v1::{BringUpProgress, Event};

/// How many of a service's last lines are shown when it fails.
pub(super) const TAIL_LINES: usize = 10;
/// How long the last lines of a service that has failed are waited for, where the daemon does not tell them.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long a first verdict about health is waited for after everything else is done.
const VERDICT: Duration = Duration::from_secs(5);

/// The services that are concerned.
#[derive(Debug)]
pub(super) struct Board {
    rows: Vec<Row>,
}

/// What a service waits for before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) name: String,
    /// What has to be true of it, in the hall file's words.
    pub(super) condition: &'static str,
}

/// One service.
#[derive(Debug)]
struct Row {
    name: String,
    needs: Vec<Need>,
    phase: Phase,
    since: Instant,
    /// The last word about its health.
    verdict: Option<String>,
    /// Why it is not up.
    failure: Option<String>,
    tail: VecDeque<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting,
    Starting,
    Started,
    Checking { until: Instant },
    Failing { until: Instant },
    Stopping,
    Up,
    Failed,
}

impl Phase {
    /// How long it may stay, where that is limited.
    fn until(self) -> Option<Instant> {
        match self {
            Self::Checking { until } | Self::Failing { until } => Some(until),
            Self::Waiting
            | Self::Starting
            | Self::Started
            | Self::Stopping
            | Self::Up
            | Self::Failed => None,
        }
    }

    fn is_settled(self) -> bool {
        match self {
            Self::Up | Self::Failed => true,
            Self::Waiting
            | Self::Starting
            | Self::Started
            | Self::Checking { .. }
            | Self::Failing { .. }
            | Self::Stopping => false,
        }
    }
}

/// A service that has come to rest.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) name: String,
    /// `healthy`, `running`, `stopped`, or why it failed.
    pub(super) outcome: Result<String, String>,
    pub(super) took: Duration,
    /// Its last lines, if it failed.
    pub(super) tail: Vec<String>,
}

/// A service that is under way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnderWay<'a> {
    pub(super) name: &'a str,
    pub(super) doing: String,
    pub(super) since: Instant,
}

impl Board {
    /// Services with what each depends on, all of them waiting.
    pub(super) fn new(services: Vec<(String, Vec<Need>)>, now: Instant) -> Self {
        let row = |(name, needs)| Row {
            name,
            needs,
            phase: Phase::Waiting,
            since: now,
            verdict: None,
            failure: None,
            tail: VecDeque::new(),
        };
        Self {
            rows: services.into_iter().map(row).collect(),
        }
    }

    /// Whether a service is one of these.
    pub(super) fn has(&self, name: &str) -> bool {
        self.rows.iter().any(|row| row.name == name)
    }

    /// Whether a service is one of these, and has not come to rest.
    pub(super) fn is_under_way(&self, name: &str) -> bool {
        self.rows
            .iter()
            .any(|row| row.name == name && !row.phase.is_settled())
    }

    /// Whether a service is one of these, and has come to rest well.
    pub(super) fn is_up(&self, name: &str) -> bool {
        self.rows
            .iter()
            .any(|row| row.name == name && row.phase == Phase::Up)
    }

    /// The length of the longest name.
    pub(super) fn width(&self) -> usize {
        self.rows
            .iter()
            .map(|row| row.name.len())
            .max()
            .unwrap_or(0)
    }

    /// Takes note of an event; says so if it brings a service to rest.
    pub(super) fn event(&mut self, event: &Event, now: Instant) -> Option<Settled> {
        let row = self.row(&event.service_name)?;
        match (&*event.kind, row.phase) {
            ("service.starting", Phase::Waiting) => row.phase = Phase::Starting,
            ("service.started", Phase::Waiting | Phase::Starting) => row.phase = Phase::Started,
            ("service.stopping", _) => (row.phase, row.since) = (Phase::Stopping, now),
            ("service.stopped", Phase::Stopping) => return Some(row.settle(Ok("stopped"), now)),
            ("health.changed", phase) => {
                row.verdict.clone_from(&event.new_status);
                if let Phase::Checking { .. } = phase {
                    return row.judge(now);
                }
            }
            _ => {}
        }
        None
    }

    /// Takes note of BringUp's answer about a service; `None` while its first verdict, or its last words,
    /// are out.
    pub(super) fn progress(
        &mut self,
        progress: &BringUpProgress,
        failed: bool,
        wait_for_verdict: bool,
        now: Instant,
    ) -> Option<Settled> {
        let status = progress.status.as_ref()?;
        if !self.has(&status.service_name) {
            // Not in our copy of the hall file, but in the daemon's.
            self.rows
                .extend(Self::new(vec![(status.service_name.clone(), Vec::new())], now).rows);
        }
        let row = self.row(&status.service_name)?;
        if failed {
            row.failure = Some(short(&status.service_name, &progress.error).to_owned());
            row.phase = Phase::Failing {
                until: now + LAST_WORDS,
            };
            return None;
        }
        // The event about it may have been first.
        row.verdict.get_or_insert_with(|| status.health.clone());
        if let Some(settled) = row.judge(now) {
            return Some(settled);
        }
        if wait_for_verdict && status.state == "running" {
            row.phase = Phase::Checking {
                until: now + VERDICT,
            };
            return None;
        }
        Some(row.settle(Ok(&status.state), now))
    }

    /// Whether the answers are there, but not all that belongs to them.
    pub(super) fn is_incomplete(&self) -> bool {
        self.rows.iter().any(|row| row.phase.until().is_some())
    }

    /// Services whose first verdict, or last words, have been waited for long enough.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<Settled> {
        let overdue = |row: &&mut Row| row.phase.until().is_some_and(|until| until <= now);
        let rows = self.rows.iter_mut().filter(overdue);
        rows.map(|row| match row.failure.take() {
            Some(reason) => row.settle(Err(&reason), now),
            None => row.settle(Ok("running, health not known yet"), now),
        })
        .collect()
    }

    /// The last lines of a service that has failed, oldest first: with them its row comes to rest.
    pub(super) fn last_words(
        &mut self,
        name: &str,
        lines: Vec<String>,
        now: Instant,
    ) -> Option<Settled> {
        let row = self.row(name)?;
        let reason = row.failure.take()?;
        if !lines.is_empty() {
            row.tail = lines.into_iter().rev().collect();
        }
        Some(row.settle(Err(&reason), now))
    }

    /// Keeps the last lines of those that are under way.
    pub(super) fn line(&mut self, name: &str, line: &str) {
        if let Some(row) = self.row(name)
            && !row.phase.is_settled()
        {
            row.tail.truncate(TAIL_LINES - 1);
            row.tail.push_front(line.to_owned());
        }
    }

    /// Those that are under way, in the order of the hall file.
    pub(super) fn under_way(&self) -> Vec<UnderWay<'_>> {
        let rows = self.rows.iter().filter(|row| !row.phase.is_settled());
        rows.map(|row| UnderWay {
            name: &row.name,
            doing: self.doing(row),
            since: row.since,
        })
        .collect()
    }

    fn doing(&self, row: &Row) -> String {
        let text = match row.phase {
            Phase::Waiting => {
                let missing = row
                    .needs
                    .iter()
                    .filter(|need| self.is_under_way(&need.name));
                let missing = missing.map(|need| format!("{} ({})", need.name, need.condition));
                return match &*missing.collect::<Vec<_>>() {
                    [] => "waiting".to_owned(),
                    needs => format!("waits for {}", needs.join(", ")),
                };
            }
            Phase::Starting => "starting",
            Phase::Started => "started, not ready yet",
            Phase::Checking { .. } => "checking health",
            Phase::Failing { .. } => "failing",
            Phase::Up => "up",
            Phase::Failed => "failed",
            Phase::Stopping => "stopping",
        };
        text.to_owned()
    }

    fn row(&mut self, name: &str) -> Option<&mut Row> {
        self.rows.iter_mut().find(|row| row.name == name)
    }
}

impl Row {
    /// Comes to rest if its health is known.
    fn judge(&mut self, now: Instant) -> Option<Settled> {
        let verdict = self.verdict.clone()?;
        match &*verdict {
            "healthy" => Some(self.settle(Ok(&verdict), now)),
            "unhealthy" | "timeout" => Some(self.settle(Err(&verdict), now)),
            _ => None,
        }
    }

    fn settle(&mut self, outcome: Result<&str, &str>, now: Instant) -> Settled {
        self.phase = if outcome.is_ok() {
            Phase::Up
        } else {
            Phase::Failed
        };
        let tail = std::mem::take(&mut self.tail);
        Settled {
            name: self.name.clone(),
            outcome: outcome.map(str::to_owned).map_err(str::to_owned),
            took: now.saturating_duration_since(self.since),
            tail: if outcome.is_err() {
                tail.into_iter().rev().collect()
            } else {
                Vec::new()
            },
        }
    }
}

/// The part of an error that follows the service's name: the row has the name already, and little room.
fn short<'a>(name: &str, error: &'a str) -> &'a str {
    let at_name = error.split_once(&format!("{name}: ")).map(|(_, rest)| rest);
    at_name
        .or_else(|| error.strip_prefix(&format!("Service {name} was not started: ")))
        .unwrap_or(error)
}

#[cfg(test)]
#[path = "board_test.rs"]
mod tests;
