//! The window on the hall: progress, then output and events as they come.

use std::{
    collections::HashSet,
    future::pending,
    process::ExitCode,
    time::{Duration, Instant},
};

use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream::FuturesUnordered};
use gladsheim_core::{Dependency, ServiceDefinition};
use gladsheim_proto::{
    Client,
    v1::{BringUpProgress, BringUpRequest, Event, LogLine, StreamLogsRequest, WatchEventsRequest},
};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{
    board::{Board, Need, Settled, TAIL_LINES},
    screen::Screen,
};
use crate::{
    cli::Format,
    client::CliError,
    hall::Hall,
    output::{
        Output, Style,
        event::{self, EventDocument},
        log::{LogDocument, Prefixer},
        now_unix_ms, span,
    },
};

/// How often the spinners turn.
const TURN: Duration = Duration::from_millis(80);
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
/// How much output is held back while rows are shown.
const HELD_LINES: usize = 1000;

/// When to stop looking.
#[derive(Debug)]
pub(super) enum Mode {
    /// The daemon is ours: until it has ended. The token tells that the stop has begun.
    Foreground(CancellationToken),
    /// The daemon is another's: until Ctrl-C.
    Attached,
    /// Until everything is up, or has failed.
    UntilUp,
}

/// What is shown, and how.
#[derive(Debug)]
pub(super) struct Window {
    output: Output,
    /// What was asked for; all if it is empty.
    names: Vec<String>,
    board: Board,
    screen: Screen,
    prefixer: Prefixer,
    /// Whether rows are shown.
    rows: bool,
    /// Whether a stop has begun.
    stopping: bool,
    /// Lines that came while the rows were those of services that come up.
    held: Vec<String>,
    first_failure: Option<ExitCode>,
}

impl Window {
    /// A window on the named services and what they depend on, or on all with `autostart`.
    pub(super) fn new(hall: &Hall, names: Vec<String>, output: Output) -> Self {
        let services = concerned(hall, &names);
        let prefixer = Prefixer::new(services.iter().map(|(name, _)| &**name));
        Self {
            output,
            names,
            board: Board::new(services, Instant::now()),
            screen: Screen::new(output),
            prefixer,
            stopping: false,
            held: Vec::new(),
            rows: output.terminal && output.format == Format::Table,
            first_failure: None,
        }
    }

    /// Asks the daemon to bring the services up, and shows what happens until the mode's end. Dropping
    /// it changes nothing about the services.
    pub(super) async fn show(mut self, client: Client, mode: Mode) -> Result<ExitCode, CliError> {
        let refused = |status| CliError::of_status(None, status);
        let since_ms = now_unix_ms();
        // Looking begins before anything is asked for, so that nothing is missed.
        let request = WatchEventsRequest {
            follow: true,
            ..WatchEventsRequest::default()
        };
        let mut events = client.watch_events(request).await.map_err(refused)?;
        let request = StreamLogsRequest {
            last: Some(0),
            follow: true,
            ..Default::default()
        };
        let mut lines = Some(client.stream_logs(request).await.map_err(refused)?);
        let request = BringUpRequest {
            service_names: self.names.clone(),
        };
        let mut progress = Some(client.bring_up(request).await.map_err(refused)?);
        if let Mode::Attached = mode {
            self.say("attached to the daemon that serves this hall already; Ctrl-C only detaches")?;
        }
        let mut last_words = FuturesUnordered::new();
        let mut stop = std::pin::pin!(asked_to_stop(&mode));
        let mut turns = interval(TURN);
        turns.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let until_up = matches!(mode, Mode::UntilUp);

        loop {
            tokio::select! {
                Some(answer) = next(&mut progress) => match answer {
                    Some(Ok(answer)) => {
                        let failed = self.progress(&answer, self.rows && !until_up)?;
                        last_words.extend(failed.map(|name| tail(&client, name, since_ms)));
                    }
                    // A stop overtakes what is still being brought up.
                    Some(Err(status)) if !self.stopping => return Err(refused(status)),
                    Some(Err(_)) | None => progress = None,
                },
                event = events.next() => match event {
                    Some(Ok(event)) if event.at_unix_ms < since_ms => {}
                    Some(Ok(event)) => self.event(&event)?,
                    Some(Err(status)) => return self.closed(&mode, refused(status)),
                    None => return self.closed(&mode, refused(Status::unavailable("it has ended"))),
                },
                Some((name, lines)) = last_words.next() => {
                    let settled = self.board.last_words(&name, lines, Instant::now());
                    self.settled(settled)?;
                }
                Some(line) = next(&mut lines) => match line {
                    Some(Ok(line)) => self.line(&line)?,
                    // The events tell of the end of the daemon.
                    Some(Err(_)) | None => lines = None,
                },
                () = &mut stop, if !self.stopping => {
                    if let Mode::Attached = mode {
                        self.say("detached; the services go on")?;
                        return Ok(ExitCode::SUCCESS);
                    }
                    self.release()?;
                    self.stopping = true;
                    self.say("stopping all services; Ctrl-C once more kills them")?;
                    self.rows = self.output.terminal && self.output.format == Format::Table;
                }
                // Rows are left at a turn only: by then the events have caught up with the answers.
                _ = turns.tick(), if self.rows || until_up => {
                    self.turn()?;
                    if progress.is_none() && !self.stopping && !self.board.is_incomplete() {
                        self.release()?;
                        if until_up {
                            return Ok(self.first_failure.unwrap_or(ExitCode::SUCCESS));
                        }
                    }
                }
            }
        }
    }

    /// BringUp has answered for one service; with `verdict` it is up only once its health is known. Names it if
    /// it failed.
    fn progress(
        &mut self,
        progress: &BringUpProgress,
        verdict: bool,
    ) -> Result<Option<String>, CliError> {
        let failure = CliError::of_progress(progress);
        let settled = self
            .board
            .progress(progress, failure.is_some(), verdict, Instant::now());
        if let Some(failure) = &failure {
            self.first_failure.get_or_insert(ExitCode::FAILURE);
            if !self.rows {
                self.output.error(failure);
            }
        }
        self.settled(settled)?;
        Ok(failure.and_then(|failure| failure.service_name().map(str::to_owned)))
    }

    fn event(&mut self, event: &Event) -> Result<(), CliError> {
        let settled = self.board.event(event, Instant::now());
        if self.output.format == Format::Json {
            return Ok(self.output.json(&EventDocument::from(event))?);
        }
        if !self.concerns(&event.service_name) {
            return Ok(());
        }
        let is_row = self.rows && settled.is_some();
        let sentence = event::sentence(event).filter(|_| !is_row && self.is_news(event));
        if let Some(sentence) = sentence {
            let line = self.output.paint(event::style(event), &sentence);
            self.scroll(line)?;
        }
        self.settled(settled)
    }

    /// Whether an event says what no row says.
    fn is_news(&self, event: &Event) -> bool {
        if !self.rows || event.service_name.is_empty() {
            return true;
        }
        let is_bad = matches!(event::style(event), Style::Bad | Style::Busy);
        is_bad && self.board.is_up(&event.service_name)
    }

    fn line(&mut self, line: &LogLine) -> Result<(), CliError> {
        if self.output.format == Format::Json {
            return Ok(self.output.json(&LogDocument::from(line))?);
        }
        if !self.concerns(&line.service_name) {
            return Ok(());
        }
        self.board.line(&line.service_name, &line.line);
        let line = self
            .prefixer
            .line(&line.service_name, &line.line, self.output);
        self.scroll(line)
    }

    /// A line among the others: held back while the hall comes up and rows are shown.
    fn scroll(&mut self, line: String) -> Result<(), CliError> {
        if !self.rows {
            return Ok(self.output.line(&line)?);
        }
        if self.stopping {
            let block = self.block();
            return Ok(self.screen.draw(&[line], &block)?);
        }
        // The oldest go: they are in the logs.
        if self.held.len() == HELD_LINES {
            self.held.remove(0);
        }
        self.held.push(line);
        Ok(())
    }

    /// A service's row comes to rest.
    fn settled(&mut self, settled: Option<Settled>) -> Result<(), CliError> {
        if let Some(settled) = settled.filter(|_| self.rows) {
            let lines = self.rest(&settled);
            let block = self.block();
            self.screen.draw(&lines, &block)?;
        }
        Ok(())
    }

    /// The spinners turn.
    fn turn(&mut self) -> Result<(), CliError> {
        let overdue = self.board.overdue(Instant::now());
        if self.rows {
            let lines: Vec<_> = overdue
                .iter()
                .flat_map(|settled| self.rest(settled))
                .collect();
            let block = self.block();
            self.screen.draw(&lines, &block)?;
        }
        Ok(())
    }

    /// No more rows: what was held back is shown, and the rest as it comes.
    fn release(&mut self) -> Result<(), CliError> {
        let held = std::mem::take(&mut self.held);
        self.screen.draw(&held, &[])?;
        self.rows = false;
        Ok(())
    }

    /// The daemon has gone.
    fn closed(mut self, mode: &Mode, error: CliError) -> Result<ExitCode, CliError> {
        self.release()?;
        match mode {
            Mode::Foreground(_) => {
                self.say("all services are stopped")?;
                Ok(ExitCode::SUCCESS)
            }
            Mode::Attached | Mode::UntilUp => Err(error),
        }
    }

    /// A remark of our own, for people.
    fn say(&mut self, remark: &str) -> Result<(), CliError> {
        if self.output.format == Format::Table {
            let line = self.output.paint(Style::Dim, remark);
            self.screen.draw(&[line], &[])?;
        }
        Ok(())
    }

    fn concerns(&self, name: &str) -> bool {
        self.names.is_empty() || name.is_empty() || self.board.has(name)
    }

    /// The lines of a service that has come to rest.
    fn rest(&self, settled: &Settled) -> Vec<String> {
        let (mark, style, text) = match &settled.outcome {
            Ok(state) => ("✔", Style::Good, state),
            Err(reason) => ("✘", Style::Bad, reason),
        };
        let took = self.output.paint(Style::Dim, &span(settled.took));
        let width = self.board.width();
        let mark = self.output.paint(style, mark);
        let text = self.output.paint(style, text);
        let mut lines = vec![format!("{mark} {:<width$}  {text}  {took}", settled.name)];
        lines.extend(
            settled
                .tail
                .iter()
                .map(|line| format!("  {:width$}  {line}", "|")),
        );
        lines
    }

    /// The rows of the services that are under way.
    fn block(&self) -> Vec<String> {
        let now = Instant::now();
        let width = self.board.width();
        let rows = self.board.under_way().into_iter().map(|row| {
            let since = now.saturating_duration_since(row.since);
            let turn = since.as_millis() / TURN.as_millis();
            let spinner = SPINNER[usize::try_from(turn).unwrap_or(0) % SPINNER.len()];
            let (spinner, doing) = (
                self.output.paint(Style::Busy, spinner),
                self.output.paint(Style::Busy, &row.doing),
            );
            let since = self.output.paint(Style::Dim, &span(since));
            format!("{spinner} {:<width$}  {doing}  {since}", row.name)
        });
        rows.collect()
    }
}

/// A service's last lines since then, oldest first; none if the daemon does not tell. What a run said is written
/// down before its end is told.
async fn tail(client: &Client, name: String, since_ms: i64) -> (String, Vec<String>) {
    let request = StreamLogsRequest {
        service_name: name.clone(),
        last: u32::try_from(TAIL_LINES).ok(),
        follow: false,
    };
    let lines: Vec<LogLine> = match client.stream_logs(request).await {
        Ok(lines) => lines.try_collect().await.unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    let lines = lines.into_iter().filter(|line| line.at_unix_ms >= since_ms);
    (name, lines.map(|line| line.line).collect())
}

/// Services that will be brought up, with what each depends on, in the order of the hall file.
fn concerned(hall: &Hall, names: &[String]) -> Vec<(String, Vec<Need>)> {
    let needs = |service: &ServiceDefinition| -> Vec<Need> {
        let need = |dependency: &Dependency| Need {
            name: dependency.service_name.clone(),
            condition: dependency.condition.as_str(),
        };
        service.depends_on.iter().map(need).collect()
    };
    let services = &hall.config.services;
    let wanted = |service: &&ServiceDefinition| match names {
        [] => service.autostart,
        names => names.contains(&service.name),
    };
    let mut pending: Vec<_> = services.iter().filter(wanted).collect();
    let mut concerned = HashSet::new();
    while let Some(service) = pending.pop() {
        if concerned.insert(&*service.name) {
            let needs = needs(service);
            let is_needed =
                |other: &&ServiceDefinition| needs.iter().any(|need| need.name == other.name);
            pending.extend(services.iter().filter(is_needed));
        }
    }
    let concerned = services
        .iter()
        .filter(|service| concerned.contains(&*service.name));
    concerned
        .map(|service| (service.name.clone(), needs(service)))
        .collect()
}

/// When the person at the terminal has had enough; never where that is none of our business.
async fn asked_to_stop(mode: &Mode) {
    match mode {
        Mode::Foreground(stop) => stop.cancelled().await,
        Mode::Attached => {
            if tokio::signal::ctrl_c().await.is_err() {
                // Then it has its default effect, which is the same in the end.
                pending().await
            }
        }
        Mode::UntilUp => pending().await,
    }
}

/// The next message of a stream that may be over; `None` where there is none to wait for.
async fn next<S: Stream + Unpin>(stream: &mut Option<S>) -> Option<Option<S::Item>> {
    match stream {
        Some(stream) => Some(stream.next().await),
        None => None,
    }
}
