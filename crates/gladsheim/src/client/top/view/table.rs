//! The rows of the services.

use ratatui::{
    Frame,
    layout::Rect,
    style::Modifier,
    text::{Line, Span},
};

use super::Look;
use crate::{
    client::top::{
        model::{Link, Model, Service},
        sort::Order,
        spark::spark,
    },
    output::{
        self, explain,
        text::{clip, harmless, width},
    },
};

/// Bars of a sparkline, where there is room for them.
const MOST_BARS: usize = 12;
const FEW_BARS: usize = 6;
/// Rows at least as wide as this have long sparklines.
const WIDE: usize = 110;
/// Rows narrower than this have none.
const NARROW: usize = 66;
/// A single service's CPU in percent that is a whole bar, unless something uses more.
const CPU_TOP: f64 = 5.0;

/// A column but the last one: its title, what it is sorted by, its width, and whether it is flush right.
type Column = (&'static str, Option<Order>, usize, bool);

/// The columns for a width.
fn columns(model: &Model, room: usize) -> Vec<Column> {
    let names = model
        .services
        .iter()
        .map(|service| service.status.service_name.len());
    let name = names
        .max()
        .unwrap_or(0)
        .clamp(8, if room < WIDE { 14 } else { 24 });
    let bars = match room {
        room if room >= WIDE => MOST_BARS,
        room if room >= NARROW => FEW_BARS,
        _ => 0,
    };
    let mut columns = vec![
        ("SERVICE", Some(Order::Name), name, false),
        ("STATE", Some(Order::State), 10, false),
        ("HEALTH", None, 9, false),
        ("MEMORY", Some(Order::Memory), 7, true),
        ("", None, bars, false),
        ("CPU", Some(Order::Cpu), 6, true),
        ("", None, bars, false),
        ("RST", Some(Order::Restarts), 4, true),
    ];
    columns.retain(|(_, _, width, _)| *width > 0);
    columns
}

/// A heading, and a row a service around the selected one.
pub(super) fn draw(model: &Model, look: Look, frame: &mut Frame<'_>, area: Rect) {
    if area.height == 0 {
        return;
    }
    let room = usize::from(area.width);
    let columns = columns(model, room);
    let mut lines = vec![heading(model, &columns, look)];
    let shown = model.shown();
    let height = usize::from(area.height) - 1;
    let at = model.position(&shown);
    let first = at
        .saturating_sub(height / 2)
        .min(shown.len().saturating_sub(height));
    for (number, service) in shown.iter().enumerate().skip(first).take(height) {
        let cells = cells(model, service, &columns, look);
        let mut line = row(&columns, cells, room, look);
        if number == at {
            line = line.patch_style(Modifier::REVERSED);
        }
        if let Link::Lost(..) = model.link {
            line = line.patch_style(Modifier::DIM);
        }
        lines.push(line);
    }
    if shown.is_empty() {
        let text = match (&model.link, model.filter.is_empty()) {
            (Link::Up, true) => "the hall has no services",
            (Link::Up, false) => "no service passes the filter; Esc shows all",
            (Link::Connecting | Link::Lost(..), _) => "",
        };
        lines.push(Line::from(look.paint(output::Style::Dim, text)));
    }
    for (line, y) in lines.iter().zip(area.y..area.bottom()) {
        frame.buffer_mut().set_line(area.x, y, line, area.width);
    }
}

/// Titles, with an arrow at the one that rows are sorted by.
fn heading<'a>(model: &Model, columns: &[Column], look: Look) -> Line<'a> {
    let sort = model.sort;
    let arrow = if sort.reversed { "▲" } else { "▼" };
    let mut text = String::new();
    for (title, order, width, flush_right) in columns {
        let sorted = order.is_some_and(|order| order == sort.order);
        let title = format!("{title}{}", if sorted { arrow } else { "" });
        text += &pad(&title, *width, *flush_right);
        text.push(' ');
    }
    text += "WHY";
    Line::from(look.paint(output::Style::Bold, text))
}

/// The texts of a row, in the order of the columns, and the reason.
fn cells(
    model: &Model,
    service: &Service,
    columns: &[Column],
    look: Look,
) -> Vec<(output::Style, String)> {
    let status = &service.status;
    let bars = columns.iter().find(|column| column.0.is_empty());
    let (state_style, state) = match model.under_way.get(&status.service_name) {
        Some(action) => (output::Style::Busy, action.participle()),
        None => (output::Style::of_state(&status.state), &*status.state),
    };
    let dash = || "-".to_owned();
    let memory = status.memory_bytes.map_or_else(dash, short_bytes);
    let cpu = status
        .cpu_percent
        .map_or_else(dash, |percent| format!("{percent:.1}%"));
    let restarts = match status.restart_count {
        0 => output::Style::Dim,
        _ => output::Style::Plain,
    };
    let mut cells = vec![
        (output::Style::Plain, status.service_name.clone()),
        (state_style, state.to_owned()),
        (
            output::Style::of_health(&status.health),
            status.health.clone(),
        ),
        (output::Style::Plain, memory),
    ];
    let spark = |samples, top| {
        let bars = bars?.2;
        Some((look.bar_style(), spark(samples, top, bars)))
    };
    cells.extend(spark(service.memory.iter(), 0.0));
    cells.push((output::Style::Plain, cpu));
    cells.extend(spark(service.cpu.iter(), CPU_TOP));
    cells.push((restarts, status.restart_count.to_string()));
    cells.push(why(service, model.now_unix_ms));
    cells
}

/// `12.3M`: there is little room.
fn short_bytes(bytes: u64) -> String {
    output::bytes(bytes)
        .replace(" KiB", "K")
        .replace(" MiB", "M")
        .replace(" GiB", "G")
        .replace(" TiB", "T")
        .replace(" B", "B")
}

/// Why it is in its state; else how the run before this one ended.
fn why(service: &Service, now_unix_ms: i64) -> (output::Style, String) {
    let status = &service.status;
    let why = explain(status, now_unix_ms);
    match &status.cause {
        Some(cause) if why.is_empty() && status.restart_count > 0 => {
            let last = status.error_message.as_ref().unwrap_or(cause);
            (output::Style::Dim, format!("before: {last}"))
        }
        _ => (output::Style::Plain, why),
    }
}

fn row<'a>(
    columns: &[Column],
    cells: Vec<(output::Style, String)>,
    room: usize,
    look: Look,
) -> Line<'a> {
    let mut line = Vec::with_capacity(2 * cells.len());
    let mut taken = 0;
    for (number, (style, text)) in cells.into_iter().enumerate() {
        match columns.get(number) {
            Some((_, _, width, flush_right)) => {
                line.push(look.paint(style, pad(&text, *width, *flush_right)));
                line.push(Span::raw(" "));
                taken += width + 1;
            }
            // To the end of the line, so that the whole of it is marked.
            None => {
                let rest = room.saturating_sub(taken);
                line.push(look.paint(style, pad(&harmless(text), rest, false)));
            }
        }
    }
    Line::from(line)
}

/// The text in exactly that many columns.
fn pad(text: &str, room: usize, flush_right: bool) -> String {
    let text = clip(text, room);
    let gap = " ".repeat(room.saturating_sub(width(&text)));
    if flush_right {
        gap + &text
    } else {
        text + &gap
    }
}

impl Look {
    fn bar_style(self) -> output::Style {
        output::Style::Dim
    }
}
