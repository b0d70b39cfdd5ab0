//! How the model looks. Pure: a model and a frame, no clock and no terminal.

mod pane;
mod table;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Clear, Paragraph, Wrap},
};

use super::{
    key::{HELP, HINTS},
    model::{Link, Mode, Model},
};
use crate::output::{self, bytes, span};

/// Lower terminals have no room for the lower part.
const LEAST_HEIGHT: u16 = 14;

/// Draws everything.
pub(super) fn draw(model: &Model, color: bool, frame: &mut Frame<'_>) {
    let look = Look { color };
    let [top, middle, bottom] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(title(model, look, usize::from(top.width)), top);
    let lower = match middle.height {
        height if model.zoomed => height,
        height if height + 2 < LEAST_HEIGHT => 0,
        // Not more than there is to see below the services, which matter more.
        height => (height / 2).clamp(6, 14),
    };
    let [upper, lower] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(lower)]).areas(middle);
    table::draw(model, look, frame, upper);
    pane::draw(model, look, frame, lower);
    frame.render_widget(footer(model, look), bottom);
    match &model.mode {
        Mode::Help => help(look, frame, middle),
        Mode::Confirm(_, question) => confirm(question, look, frame, middle),
        Mode::Browse | Mode::Filter => {}
    }
}

/// Whether there are colours, and which.
#[derive(Debug, Clone, Copy)]
struct Look {
    color: bool,
}

impl Look {
    /// The style of the rest of the command line.
    fn style(self, style: output::Style) -> Style {
        let color = |color| {
            if self.color {
                Style::new().fg(color)
            } else {
                Style::new()
            }
        };
        match style {
            output::Style::Plain | output::Style::Name(_) => Style::new(),
            output::Style::Bold => Style::new().add_modifier(Modifier::BOLD),
            output::Style::Dim => Style::new().add_modifier(Modifier::DIM),
            output::Style::Good => color(Color::Green),
            output::Style::Busy => color(Color::Yellow),
            output::Style::Bad => color(Color::Red).add_modifier(Modifier::BOLD),
        }
    }

    fn paint<'a>(self, style: output::Style, text: impl Into<String>) -> Span<'a> {
        Span::styled(output::text::harmless(text.into()), self.style(style))
    }
}

/// The hall in one line.
fn title<'a>(model: &Model, look: Look, room: usize) -> Line<'a> {
    let mut line = vec![look.paint(output::Style::Bold, "gladsheim")];
    match &model.link {
        Link::Connecting => line.push(look.paint(output::Style::Busy, "  asking the daemon…")),
        Link::Lost(reason, since) => {
            let since = age(*since, model.now_unix_ms);
            let text = format!("  no daemon for {since}, trying again: {reason}");
            line.push(look.paint(output::Style::Bad, text));
        }
        Link::Up => {
            let total = model.services.len();
            line.push(Span::raw(format!("  {total} services")));
            line.extend(counts(model, look));
            let machine = machine(model);
            let taken: usize = line.iter().map(Span::width).sum();
            // It matters less than the services.
            if let Some(gap) = room.checked_sub(taken + output::text::width(&machine) + 2) {
                let machine = format!("{:gap$}  {machine}", "");
                line.push(look.paint(output::Style::Dim, machine));
            }
        }
    }
    Line::from(line)
}

/// What the whole machine uses.
fn machine(model: &Model) -> String {
    let system = &model.system;
    format!(
        "{:.0} % of {} CPUs, {} of {}",
        system.cpu_usage,
        system.num_cores,
        bytes(system.used_memory),
        bytes(system.total_memory)
    )
}

/// How many services are in each state.
fn counts<'a>(model: &Model, look: Look) -> Vec<Span<'a>> {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for service in &model.services {
        let state = &*service.status.state;
        match counts.iter_mut().find(|(known, _)| *known == state) {
            Some((_, count)) => *count += 1,
            None => counts.push((state, 1)),
        }
    }
    let count = |(state, count): &(&str, usize)| {
        let style = output::Style::of_state(state);
        [
            Span::raw(", "),
            look.paint(style, format!("{count} {state}")),
        ]
    };
    let mut spans: Vec<_> = counts.iter().flat_map(count).collect();
    if let Some(first) = spans.first_mut() {
        *first = Span::raw(": ");
    }
    spans
}

/// What keys do, what was said last, or the filter that is being typed.
fn footer<'a>(model: &Model, look: Look) -> Line<'a> {
    if model.mode == Mode::Filter {
        let text = format!("/{}█", model.filter);
        return Line::from(vec![
            look.paint(output::Style::Bold, text),
            look.paint(output::Style::Dim, "  Enter keeps it, Esc shows all"),
        ]);
    }
    if let Some(notice) = &model.notice {
        let style = if notice.is_bad {
            output::Style::Bad
        } else {
            output::Style::Good
        };
        return Line::from(look.paint(style, notice.text.clone()));
    }
    let filter = (!model.filter.is_empty())
        .then(|| look.paint(output::Style::Busy, format!("filter: {}  ", model.filter)));
    let hints = HINTS.iter().flat_map(|(key, does)| {
        [
            look.paint(output::Style::Bold, *key),
            look.paint(output::Style::Dim, format!(" {does}  ")),
        ]
    });
    filter.into_iter().chain(hints).collect()
}

fn help(look: Look, frame: &mut Frame<'_>, area: Rect) {
    let line = |(keys, does): &(&'static str, &'static str)| {
        Line::from(vec![
            look.paint(output::Style::Bold, format!("{keys:>15}")),
            Span::raw(format!("  {does}")),
        ])
    };
    let lines: Vec<Line<'_>> = HELP.iter().map(line).collect();
    let area = centred(area, 68, HELP.len());
    frame.render_widget(Clear, area);
    frame.render_widget(
        Paragraph::new(lines).block(Block::bordered().title(" keys ")),
        area,
    );
}

fn confirm(question: &str, look: Look, frame: &mut Frame<'_>, area: Rect) {
    let question = output::text::wrap(&output::text::harmless(question.to_owned()), 56);
    let area = centred(area, 60, question.len() + 1);
    let mut lines: Vec<Line<'_>> = question.into_iter().map(Line::from).collect();
    lines.push(Line::from(
        look.paint(output::Style::Bold, "y: yes   any other key: no"),
    ));
    let block = Block::bordered().border_style(look.style(output::Style::Busy));
    frame.render_widget(Clear, area);
    frame.render_widget(
        Paragraph::new(lines).wrap(Wrap { trim: true }).block(block),
        area,
    );
}

/// Room for so many lines with a border in the middle of an area, or as much as there is.
fn centred(area: Rect, width: u16, lines: usize) -> Rect {
    let height = u16::try_from(lines).unwrap_or(u16::MAX).saturating_add(2);
    area.centered(Constraint::Max(width), Constraint::Max(height))
}

fn age(since_unix_ms: i64, now_unix_ms: i64) -> String {
    let since = u64::try_from(now_unix_ms.saturating_sub(since_unix_ms)).unwrap_or(0);
    // No tenths: they would flicker.
    span(std::time::Duration::from_secs((since / 1000).max(1))).replace(".0 s", " s")
}

#[cfg(test)]
#[path = "view_test.rs"]
mod tests;
