//! What `top` knows, and what each event makes of it. Pure: no terminal, no socket, no clock.
//!
//! ```text
//!              '/'                 Enter, Esc
//!   Browse ──────────► Filter ──────────────────► Browse
//!     │ 'k', or a stop that others need     y: Ask
//!     ├──────────────────► Confirm ─────────────► Browse
//!     └── '?' ► Help ── any key ► Browse
//! ```

use std::collections::{BTreeMap, VecDeque};

use gladsheim_proto::v1::{LogLine, ServiceDescription, ServiceStatus, SystemUsage};

use super::{
    key::{Binding, binding},
    sort::Sort,
};
use crate::output::explain;

/// How many samples are kept for a sparkline.
pub(super) const SAMPLES: usize = 60;
/// A hall that had services is without any only if it stays so for this long, in ms: one that closes lets go of
/// its services before its daemon ends, and what was known last is to stay.
const CLOSING_MS: i64 = 3000;
/// How many lines of output are kept.
const LINES: usize = 500;

/// Something that happened.
#[derive(Debug)]
pub(super) enum Event {
    /// A key was pressed.
    Key(crossterm::event::KeyEvent),
    /// The terminal has another size, or has to be drawn anew.
    Redraw,
    /// The daemon answered.
    Polled(Vec<ServiceStatus>, SystemUsage),
    /// The daemon told one service at length.
    Described(Box<ServiceDescription>),
    /// A line of the followed service.
    Line(LogLine),
    /// The daemon does not answer, and why.
    Lost(String),
    /// A command came to its end.
    Done(Command, Outcome),
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The service's state.
    Done(String),
    /// Others need it, whose names are in the text.
    Needed(String),
    /// Why not.
    Failed(String),
}

/// Something that is asked of the daemon about one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) action: Action,
    pub(super) service_name: String,
}

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Start,
    Stop,
    /// With what needs it.
    ForceStop,
    Restart,
    Kill,
}

impl Action {
    /// What is under way.
    pub(super) fn participle(self) -> &'static str {
        match self {
            Self::Start => "starting",
            Self::Stop | Self::ForceStop => "stopping",
            Self::Restart => "restarting",
            Self::Kill => "killing",
        }
    }
}

/// What the task has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    Ask(Command),
    /// Read this service at length, now and again.
    Describe(String),
    /// Follow this service's output, or nobody's.
    Follow(Option<String>),
    Quit,
    /// Give the terminal back until somebody brings us to the foreground again.
    Suspend,
    /// Forget what is on the screen.
    Clear,
}

/// What keys mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    Browse,
    /// They are the filter's text.
    Filter,
    /// They answer a question.
    Confirm(Command, String),
    Help,
}

/// What is shown below the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pane {
    Detail,
    Logs,
}

/// The daemon, as seen from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Link {
    /// Nothing is known yet.
    Connecting,
    Up,
    /// Why, and since when.
    Lost(String, i64),
}

/// One service.
#[derive(Debug, Default)]
pub(super) struct Service {
    pub(super) status: ServiceStatus,
    /// Oldest first; zero while it does not run.
    pub(super) cpu: VecDeque<f64>,
    pub(super) memory: VecDeque<f64>,
}

/// A short message at the bottom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) text: String,
    pub(super) is_bad: bool,
}

/// All that is known.
#[derive(Debug)]
pub(super) struct Model {
    /// In the order of the hall file.
    pub(super) services: Vec<Service>,
    pub(super) system: SystemUsage,
    pub(super) link: Link,
    pub(super) mode: Mode,
    pub(super) pane: Pane,
    /// Whether the pane has the whole screen.
    pub(super) zoomed: bool,
    pub(super) sort: Sort,
    pub(super) filter: String,
    /// The selected service's name; the first one that is shown if it is none of these.
    pub(super) selected: String,
    pub(super) detail: Option<ServiceDescription>,
    pub(super) lines: VecDeque<LogLine>,
    /// Whose output `lines` is.
    followed: Option<String>,
    pub(super) notice: Option<Notice>,
    /// Commands under way, by service.
    pub(super) under_way: BTreeMap<String, Action>,
    pub(super) now_unix_ms: i64,
    /// Since when the daemon tells of no services any more.
    emptied_at: Option<i64>,
}

impl Model {
    /// Nothing is known yet.
    pub(super) fn new(now_unix_ms: i64) -> Self {
        Self {
            services: Vec::new(),
            system: SystemUsage::default(),
            link: Link::Connecting,
            mode: Mode::Browse,
            pane: Pane::Detail,
            zoomed: false,
            sort: Sort::default(),
            filter: String::new(),
            selected: String::new(),
            detail: None,
            lines: VecDeque::new(),
            followed: None,
            notice: None,
            under_way: BTreeMap::new(),
            now_unix_ms,
            emptied_at: None,
        }
    }

    /// Takes note of an event; what is to be done about it.
    pub(super) fn update(&mut self, event: Event, now_unix_ms: i64) -> Vec<Effect> {
        self.now_unix_ms = now_unix_ms;
        let before = self.selected.clone();
        let is_news = matches!(event, Event::Polled(..));
        let mut effects = match event {
            Event::Key(key) => self.key(binding(key, &self.mode)),
            Event::Redraw => Vec::new(),
            Event::Polled(services, system) => {
                self.polled(services, system);
                Vec::new()
            }
            Event::Described(description) => {
                self.described(*description);
                Vec::new()
            }
            Event::Line(line) => {
                self.line(line);
                Vec::new()
            }
            Event::Lost(reason) => {
                self.emptied_at = None;
                if !matches!(self.link, Link::Lost(..)) {
                    self.link = Link::Lost(reason, now_unix_ms);
                }
                Vec::new()
            }
            Event::Done(command, outcome) => {
                self.done(command, outcome);
                Vec::new()
            }
        };
        let after = self.selection().map(str::to_owned);
        // It stays with its service when rows change places.
        if let Some(name) = &after {
            self.selected.clone_from(name);
        }
        if self.selected != before {
            self.detail = None;
        }
        if is_news || self.selected != before {
            effects.extend(after.clone().map(Effect::Describe));
        }
        let wanted = after.filter(|_| self.pane == Pane::Logs && self.link == Link::Up);
        if wanted != self.followed {
            self.lines.clear();
            self.followed.clone_from(&wanted);
            effects.push(Effect::Follow(wanted));
        }
        effects
    }

    /// The services that pass the filter, sorted.
    pub(super) fn shown(&self) -> Vec<&Service> {
        let wanted = self.filter.to_lowercase();
        let passes = |service: &&Service| {
            let status = &service.status;
            let texts = [&status.service_name, &status.state, &status.health];
            wanted.is_empty()
                || texts
                    .iter()
                    .any(|text| text.to_lowercase().contains(&wanted))
                || explain(status, self.now_unix_ms)
                    .to_lowercase()
                    .contains(&wanted)
        };
        let mut shown: Vec<_> = self.services.iter().filter(passes).collect();
        self.sort.apply(&mut shown);
        shown
    }

    /// Where the selected service stands among those that are shown.
    pub(super) fn position(&self, shown: &[&Service]) -> usize {
        let is_selected = |service: &&Service| service.status.service_name == self.selected;
        shown.iter().position(is_selected).unwrap_or(0)
    }

    /// Name of the selected service; none if none is shown.
    pub(super) fn selection(&self) -> Option<&str> {
        let shown = self.shown();
        let service = shown.get(self.position(&shown))?;
        Some(&service.status.service_name)
    }

    fn polled(&mut self, services: Vec<ServiceStatus>, system: SystemUsage) {
        if services.is_empty() && !self.services.is_empty() {
            let since = *self.emptied_at.get_or_insert(self.now_unix_ms);
            if self.now_unix_ms.saturating_sub(since) < CLOSING_MS {
                return;
            }
        } else {
            self.emptied_at = None;
        }
        let mut known: BTreeMap<String, Service> = self
            .services
            .drain(..)
            .map(|service| (service.status.service_name.clone(), service))
            .collect();
        self.services = services
            .into_iter()
            .map(|status| {
                let mut service = known.remove(&status.service_name).unwrap_or_default();
                sample(&mut service.cpu, status.cpu_percent.map(f64::from));
                sample(
                    &mut service.memory,
                    status.memory_bytes.map(|bytes| bytes as f64),
                );
                service.status = status;
                service
            })
            .collect();
        self.system = system;
        if let Link::Lost(..) = self.link {
            self.say("the daemon is back".to_owned());
        }
        self.link = Link::Up;
    }

    fn described(&mut self, description: ServiceDescription) {
        let of = description
            .status
            .as_ref()
            .map(|status| &*status.service_name);
        if of == self.selection() {
            self.detail = Some(description);
        }
    }

    fn line(&mut self, line: LogLine) {
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    fn done(&mut self, command: Command, outcome: Outcome) {
        let Command {
            action,
            service_name,
        } = command;
        self.under_way.remove(&service_name);
        match outcome {
            Outcome::Done(state) => self.say(format!("{service_name}: {state}")),
            Outcome::Failed(why) => self.complain(why),
            Outcome::Needed(why) if action == Action::Stop && self.mode == Mode::Browse => {
                let action = Action::ForceStop;
                let question = format!("{why}. Stop these too?");
                let command = Command {
                    action,
                    service_name,
                };
                self.mode = Mode::Confirm(command, question);
            }
            Outcome::Needed(why) => self.complain(why),
        }
    }

    fn say(&mut self, text: String) {
        self.notice = Some(Notice {
            text,
            is_bad: false,
        });
    }

    fn complain(&mut self, text: String) {
        self.notice = Some(Notice { text, is_bad: true });
    }

    fn key(&mut self, binding: Option<Binding>) -> Vec<Effect> {
        let Some(binding) = binding else {
            return Vec::new();
        };
        // Whoever presses a key has read it.
        self.notice = None;
        match binding {
            Binding::Quit => return vec![Effect::Quit],
            Binding::Suspend => return vec![Effect::Suspend],
            Binding::Redraw => return vec![Effect::Clear],
            Binding::Move(by) => self.step(by),
            Binding::First => self.step(isize::MIN),
            Binding::Last => self.step(isize::MAX),
            Binding::Act(Action::Kill) => {
                let question = |name: &str| format!("Kill {name} and all of its processes?");
                if let Some(command) = self.command(Action::Kill) {
                    let question = question(&command.service_name);
                    self.mode = Mode::Confirm(command, question);
                }
            }
            Binding::Act(action) => return self.ask(self.command(action)),
            Binding::Yes => {
                if let Mode::Confirm(command, _) = std::mem::replace(&mut self.mode, Mode::Browse) {
                    return self.ask(Some(command));
                }
            }
            Binding::Order(order) => self.sort.choose(order),
            Binding::NextOrder => self.sort.choose(self.sort.order.next()),
            Binding::Reverse => self.sort.reversed = !self.sort.reversed,
            Binding::Filter => self.mode = Mode::Filter,
            Binding::Type(char) => self.filter.push(char),
            Binding::Erase => {
                self.filter.pop();
            }
            Binding::ClearFilter => {
                self.filter.clear();
                self.mode = Mode::Browse;
            }
            Binding::Logs => {
                self.pane = match self.pane {
                    Pane::Detail => Pane::Logs,
                    Pane::Logs => Pane::Detail,
                }
            }
            Binding::Zoom => self.zoomed = !self.zoomed,
            Binding::Help => self.mode = Mode::Help,
            Binding::Back if self.mode == Mode::Browse => {
                (self.zoomed, self.pane) = (false, Pane::Detail);
                self.filter.clear();
            }
            Binding::Back => self.mode = Mode::Browse,
        }
        Vec::new()
    }

    fn command(&self, action: Action) -> Option<Command> {
        Some(Command {
            action,
            service_name: self.selection()?.to_owned(),
        })
    }

    fn ask(&mut self, command: Option<Command>) -> Vec<Effect> {
        let Some(command) = command else {
            return Vec::new();
        };
        if self.link != Link::Up {
            self.complain("there is no daemon to ask".to_owned());
            return Vec::new();
        }
        self.under_way
            .insert(command.service_name.clone(), command.action);
        vec![Effect::Ask(command)]
    }

    /// Selects another service, so many rows below.
    fn step(&mut self, by: isize) {
        let shown = self.shown();
        let last = shown.len().saturating_sub(1);
        let at = self.position(&shown).saturating_add_signed(by).min(last);
        let Some(service) = shown.get(at) else { return };
        self.selected = service.status.service_name.clone();
    }
}

/// One more sample; zero where there is none.
fn sample(samples: &mut VecDeque<f64>, value: Option<f64>) {
    if samples.len() == SAMPLES {
        samples.pop_front();
    }
    samples.push_back(value.unwrap_or(0.0));
}

#[cfg(test)]
#[path = "model_test.rs"]
mod tests;
