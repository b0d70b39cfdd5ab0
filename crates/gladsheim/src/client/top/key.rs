//! Which key means what, and what the help says about it. Pure.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{
    model::{Action, Mode},
    sort::Order,
};

/// Rows of a page.
const PAGE: isize = 10;

/// What a key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binding {
    Quit,
    Suspend,
    Redraw,
    Move(isize),
    First,
    Last,
    Act(Action),
    Yes,
    Order(Order),
    NextOrder,
    Reverse,
    Filter,
    Type(char),
    Erase,
    ClearFilter,
    Logs,
    Zoom,
    Help,
    Back,
}

/// The help: keys, and what they do.
pub(super) const HELP: [(&str, &str); 17] = [
    ("↑ ↓  PgUp PgDn", "select a service"),
    ("Home End", "the first, the last"),
    ("s", "start"),
    ("x", "stop; asks where others need it"),
    ("r", "restart"),
    ("k", "kill, with all of its processes; asks first"),
    ("l  Tab", "its output, or its details"),
    ("Enter", "give the lower part the whole screen"),
    ("/", "show only services with this text; Esc for all"),
    ("o  O", "sort by the next column; reverse"),
    ("N T", "sort by name, by state"),
    ("P M", "sort by CPU, by memory"),
    ("R H", "sort by restarts, as in the hall file"),
    ("Ctrl-L", "draw anew"),
    ("Ctrl-Z", "suspend"),
    ("?", "this help"),
    ("q  Ctrl-C", "quit; the services go on"),
];

/// The line at the bottom.
pub(super) const HINTS: [(&str, &str); 9] = [
    ("s", "start"),
    ("x", "stop"),
    ("r", "restart"),
    ("k", "kill"),
    ("l", "logs"),
    ("/", "filter"),
    ("o", "sort"),
    ("?", "help"),
    ("q", "quit"),
];

/// What a key means while the keys mean what `mode` says; `None` for nothing.
pub(super) fn binding(key: KeyEvent, mode: &Mode) -> Option<Binding> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c' | 'd') => Some(Binding::Quit),
            KeyCode::Char('z') => Some(Binding::Suspend),
            KeyCode::Char('l') => Some(Binding::Redraw),
            KeyCode::Char('u') if *mode == Mode::Filter => Some(Binding::ClearFilter),
            _ => None,
        };
    }
    match mode {
        Mode::Browse => browse(key.code),
        Mode::Filter => filter(key.code),
        Mode::Confirm(..) => Some(match key.code {
            KeyCode::Char('y' | 'Y') => Binding::Yes,
            _ => Binding::Back,
        }),
        Mode::Help => Some(Binding::Back),
    }
}

fn browse(code: KeyCode) -> Option<Binding> {
    if let Some(movement) = movement(code) {
        return Some(movement);
    }
    Some(match code {
        KeyCode::Char('q') => Binding::Quit,
        KeyCode::Char('s') => Binding::Act(Action::Start),
        KeyCode::Char('x') => Binding::Act(Action::Stop),
        KeyCode::Char('r') => Binding::Act(Action::Restart),
        KeyCode::Char('k') => Binding::Act(Action::Kill),
        KeyCode::Char('l') | KeyCode::Tab => Binding::Logs,
        KeyCode::Enter => Binding::Zoom,
        KeyCode::Char('/') => Binding::Filter,
        KeyCode::Char('?') | KeyCode::F(1) => Binding::Help,
        KeyCode::Char('o') => Binding::NextOrder,
        KeyCode::Char('O') => Binding::Reverse,
        KeyCode::Char('N') => Binding::Order(Order::Name),
        KeyCode::Char('T') => Binding::Order(Order::State),
        KeyCode::Char('P') => Binding::Order(Order::Cpu),
        KeyCode::Char('M') => Binding::Order(Order::Memory),
        KeyCode::Char('R') => Binding::Order(Order::Restarts),
        KeyCode::Char('H') => Binding::Order(Order::Hall),
        KeyCode::Esc => Binding::Back,
        _ => return None,
    })
}

fn filter(code: KeyCode) -> Option<Binding> {
    if let Some(movement) = movement(code) {
        return Some(movement);
    }
    Some(match code {
        KeyCode::Char(char) => Binding::Type(char),
        KeyCode::Backspace => Binding::Erase,
        KeyCode::Esc => Binding::ClearFilter,
        KeyCode::Enter => Binding::Back,
        _ => return None,
    })
}

fn movement(code: KeyCode) -> Option<Binding> {
    Some(match code {
        KeyCode::Up => Binding::Move(-1),
        KeyCode::Down => Binding::Move(1),
        KeyCode::PageUp => Binding::Move(-PAGE),
        KeyCode::PageDown => Binding::Move(PAGE),
        KeyCode::Home => Binding::First,
        KeyCode::End => Binding::Last,
        _ => return None,
    })
}
