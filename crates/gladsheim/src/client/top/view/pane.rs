//! The lower part: one service at length, or its output.

use gladsheim_proto::v1::ServiceDescription;
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    text::{Line, Span},
    widgets::{Block, Borders, Paragraph},
};

use super::{Look, age};
use crate::{
    client::top::model::{Model, Pane},
    output::{
        self, branches, bytes, explain, need,
        text::{harmless, wrap},
    },
};

/// Narrower ones have the history below the processes.
const WIDE: u16 = 70;
/// Width of a fact's title.
const TITLE: usize = 10;

pub(super) fn draw(model: &Model, look: Look, frame: &mut Frame<'_>, area: Rect) {
    if area.height < 2 {
        return;
    }
    let name = model.selection().unwrap_or_default();
    let what = match model.pane {
        Pane::Detail => "",
        Pane::Logs => ": output",
    };
    let title = look.paint(output::Style::Bold, format!(" {name}{what} "));
    let block = Block::new()
        .borders(Borders::TOP)
        .border_style(look.style(output::Style::Dim))
        .title(title);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    match model.pane {
        Pane::Detail => detail(model, look, frame, inner),
        Pane::Logs => logs(model, look, frame, inner),
    }
}

fn detail(model: &Model, look: Look, frame: &mut Frame<'_>, area: Rect) {
    let nothing = ServiceDescription::default();
    let detail = model.detail.as_ref().unwrap_or(&nothing);
    if area.width < WIDE {
        let mut lines = facts(model, detail, look, area.width);
        lines.extend(processes(detail, look));
        lines.extend(history(model, detail, look));
        frame.render_widget(Paragraph::new(lines), area);
        return;
    }
    let [left, right] = Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)])
        .spacing(2)
        .areas(area);
    let mut lines = facts(model, detail, look, left.width);
    lines.extend(processes(detail, look));
    frame.render_widget(Paragraph::new(lines), left);
    frame.render_widget(Paragraph::new(history(model, detail, look)), right);
}

fn facts<'a>(model: &Model, detail: &ServiceDescription, look: Look, width: u16) -> Vec<Line<'a>> {
    let shown = model.shown();
    let Some(service) = shown.get(model.position(&shown)) else {
        return Vec::new();
    };
    let status = &service.status;
    let needs: Vec<_> = detail.depends_on.iter().map(need).collect();
    let process = (status.process_id != 0).then(|| {
        let up = age(
            status.start_time_unix.saturating_mul(1000),
            model.now_unix_ms,
        );
        let (pid, run) = (status.process_id, status.generation);
        format!("{pid}, up {up}, run {run}")
    });
    let facts = [
        ("why", explain(status, model.now_unix_ms)),
        ("process", process.unwrap_or_default()),
        ("needs", needs.join(", ")),
        ("listens", status.endpoints.join(", ")),
    ];
    let room = usize::from(width).saturating_sub(TITLE).max(TITLE);
    let mut lines = Vec::new();
    for (title, value) in facts.into_iter().filter(|(_, value)| !value.is_empty()) {
        let mut title = title;
        for part in wrap(&harmless(value), room) {
            lines.push(Line::from(vec![
                look.paint(output::Style::Dim, format!("{title:TITLE$}")),
                Span::raw(part),
            ]));
            title = "";
        }
    }
    lines
}

fn processes<'a>(detail: &ServiceDescription, look: Look) -> Vec<Line<'a>> {
    let lines = branches(&detail.processes).into_iter().map(|branch| {
        let process = branch.process;
        let memory = bytes(process.memory_bytes);
        Line::from(vec![
            look.paint(
                output::Style::Dim,
                format!("{:>7} {memory:>9}  {}", process.process_id, branch.stem),
            ),
            Span::raw(harmless(process.command.clone())),
        ])
    });
    lines.collect()
}

/// The last changes, newest first.
fn history<'a>(model: &Model, detail: &ServiceDescription, look: Look) -> Vec<Line<'a>> {
    let lines = detail.history.iter().rev().map(|change| {
        let since = age(change.at_unix_ms, model.now_unix_ms);
        let style = output::Style::of_state(&change.new_state);
        let why = change.reason.as_ref().or(change.cause.as_ref());
        Line::from(vec![
            look.paint(output::Style::Dim, format!("{since:>9} ago  ")),
            look.paint(style, format!("{:<12}", change.new_state)),
            look.paint(output::Style::Dim, why.cloned().unwrap_or_default()),
        ])
    });
    lines.collect()
}

/// The last lines that have room.
fn logs(model: &Model, look: Look, frame: &mut Frame<'_>, area: Rect) {
    let skip = model.lines.len().saturating_sub(usize::from(area.height));
    let lines = model.lines.iter().skip(skip).map(|line| {
        let style = match &*line.stream {
            "stderr" => output::Style::Busy,
            _ => output::Style::Plain,
        };
        Line::from(look.paint(style, line.line.clone()))
    });
    let lines: Vec<_> = lines.collect();
    if lines.is_empty() {
        let text = look.paint(output::Style::Dim, "it has said nothing yet");
        frame.render_widget(Paragraph::new(Line::from(text)), area);
    } else {
        frame.render_widget(Paragraph::new(lines), area);
    }
}
