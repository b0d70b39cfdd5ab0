//! The task of `top`: waits for events, and does what the model asks for.

use std::{process::ExitCode, time::Duration};

use crossterm::event::{Event as TerminalEvent, EventStream};
use futures_util::StreamExt as _;
use nix::sys::signal::Signal;
use tokio::{
    signal::unix::{self, SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use super::{
    desk::Desk,
    model::{Effect, Event, Model},
    screen::Screen,
    view,
};
use crate::{
    client::{CliError, Session},
    output::now_unix_ms,
};

/// How often the daemon is asked.
const POLL: Duration = Duration::from_secs(1);
/// No more often than this is anything drawn.
const FRAME: Duration = Duration::from_millis(50);

/// Shows the hall until somebody has seen enough. Dropping it gives the terminal back.
pub(super) async fn run(session: Session) -> Result<ExitCode, CliError> {
    let mut signals = Signals::listen().map_err(CliError::Runtime)?;
    let mut desk = Desk::new(session.client);
    let mut model = Model::new(now_unix_ms());
    let mut keys = EventStream::new();
    let mut polls = interval(POLL);
    polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut screen = Screen::take()?;
    let (mut next_frame, mut dirty) = (Instant::now(), true);
    loop {
        let events = tokio::select! {
            biased;
            signal = signals.next() => match signal {
                Signal::SIGTSTP => {
                    screen.suspend()?;
                    vec![Event::Redraw]
                }
                // As a shell tells of it.
                end => return Ok(ExitCode::from(u8::try_from(128 + end as i32).unwrap_or(1))),
            },
            () = sleep_until(next_frame), if dirty => {
                screen.draw(|frame| view::draw(&model, session.output.color, frame))?;
                (next_frame, dirty) = (Instant::now() + FRAME, false);
                continue;
            }
            key = keys.next() => match key {
                Some(Ok(TerminalEvent::Key(key))) => vec![Event::Key(key)],
                Some(Ok(_)) => vec![Event::Redraw],
                // The terminal has gone.
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(ExitCode::SUCCESS),
            },
            events = desk.next() => events,
            _ = polls.tick() => {
                desk.poll();
                // Ages go on, whether or not there is an answer.
                vec![Event::Redraw]
            }
        };
        dirty |= !events.is_empty();
        for event in events {
            for effect in model.update(event, now_unix_ms()) {
                match effect {
                    Effect::Quit => return Ok(ExitCode::SUCCESS),
                    Effect::Suspend => screen.suspend()?,
                    Effect::Clear => screen.clear()?,
                    Effect::Ask(command) => desk.ask(command),
                    Effect::Describe(name) => desk.describe(name),
                    Effect::Follow(name) => desk.follow(name),
                }
            }
        }
    }
}

/// Signals of others: the keys that send one come as keys.
struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    hangup: unix::Signal,
    stop: unix::Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            stop: signal(SignalKind::from_raw(Signal::SIGTSTP as i32))?,
        })
    }

    /// The next one. Cancel safe.
    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::SIGINT,
            _ = self.terminate.recv() => Signal::SIGTERM,
            _ = self.hangup.recv() => Signal::SIGHUP,
            _ = self.stop.recv() => Signal::SIGTSTP,
        }
    }
}
