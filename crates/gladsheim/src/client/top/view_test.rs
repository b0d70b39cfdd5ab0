//! Screens, compared with those in `view/*.txt`; `GLADSHEIM_BLESS=1` writes them anew.

use std::{fs, path::Path};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use gladsheim_proto::v1::{
    Dependency, LogLine, Process, ServiceDescription, ServiceStatus, StateChange, SystemUsage,
};
use ratatui::{Terminal, backend::TestBackend};

use super::*;
use crate::client::top::model::{Action, Command, Event, Outcome};

const NOW: i64 = 1_000_000;

fn services(samples: u64) -> Vec<ServiceStatus> {
    let service = |name: &str, state: &str, health: &str| ServiceStatus {
        service_name: name.into(),
        state: state.into(),
        health: health.into(),
        ..ServiceStatus::default()
    };
    let running = |name: &str, health: &str, memory: u64, cpu: f32| ServiceStatus {
        process_id: 4242,
        start_time_unix: 900,
        memory_bytes: Some(memory),
        cpu_percent: Some(cpu),
        generation: 1,
        ..service(name, "running", health)
    };
    vec![
        running("freki", "healthy", 3_500_000 + samples * 100_000, 0.4),
        ServiceStatus {
            restart_count: 2,
            cause: Some("exit".into()),
            error_message: Some("exit code 1".into()),
            ..running("thor", "healthy", 12_897_484, 2.0 * samples as f32)
        },
        ServiceStatus {
            restart_count: 7,
            attempts: 2,
            max_attempts: 3,
            attempts_window_ms: 600_000,
            reason: Some("exit code 1".into()),
            next_attempt_at_unix_ms: Some(NOW + 2500),
            ..service("loki", "restarting", "unknown")
        },
        ServiceStatus {
            reason: Some("exec: 雷神 is no program".into()),
            ..service("fenrir-the-wolf-of-the-north", "failed", "unknown")
        },
        service("baldur", "stopped", "unknown"),
    ]
}

fn model() -> Model {
    let mut model = Model::new(NOW);
    let system = SystemUsage {
        total_memory: 8 << 30,
        used_memory: 3 << 30,
        available_memory: 5 << 30,
        cpu_usage: 37.4,
        num_cores: 2,
    };
    for samples in 0..8 {
        model.update(Event::Polled(services(samples), system), NOW);
    }
    press(&mut model, KeyCode::Down);
    let process = |process_id, parent_process_id, command: &str| Process {
        process_id,
        parent_process_id,
        command: command.into(),
        memory_bytes: 4_000_000,
    };
    let change = |age: i64, new_state: &str, reason: Option<&str>| StateChange {
        at_unix_ms: NOW - age,
        new_state: new_state.into(),
        reason: reason.map(str::to_owned),
        ..StateChange::default()
    };
    let description = ServiceDescription {
        status: services(0).into_iter().nth(1),
        history: vec![
            change(103_000, "crashed", Some("exit code 1")),
            change(103_000, "restarting", Some("exit code 1")),
            change(101_000, "starting", None),
            change(100_000, "running", None),
        ],
        processes: vec![
            process(4242, 1, "bin/thor --port 8081"),
            process(4250, 4242, "worker"),
            process(4251, 4250, "[helper]"),
        ],
        depends_on: vec![Dependency {
            service_name: "freki".into(),
            condition: "healthy".into(),
            optional: false,
        }],
    };
    model.update(Event::Described(Box::new(description)), NOW);
    model
}

fn press(model: &mut Model, code: KeyCode) {
    model.update(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)), NOW);
}

fn type_in(model: &mut Model, text: &str) {
    text.chars()
        .for_each(|char| press(model, KeyCode::Char(char)));
}

/// What is on the screen, as text.
fn screen(model: &Model, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("is made");
    terminal
        .draw(|frame| draw(model, true, frame))
        .expect("is drawn");
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..height {
        let (mut line, mut covered) = (String::new(), 0);
        for x in 0..width {
            // A wide character covers the cell after it.
            if covered > 0 {
                covered -= 1;
                continue;
            }
            let symbol = buffer[(x, y)].symbol();
            covered = output::text::width(symbol).saturating_sub(1);
            line += symbol;
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[track_caller]
fn assert_screen(name: &str, model: &Model, (width, height): (u16, u16)) {
    let shown = screen(model, width, height);
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/client/top/view")
        .join(format!("{name}.txt"));
    if std::env::var_os("GLADSHEIM_BLESS").is_some() {
        fs::write(&file, &shown).expect("is written");
    }
    let golden = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        golden == shown,
        "{name} is not as in {}:\n{shown}",
        file.display()
    );
}

#[test]
fn the_hall_fits_into_eighty_by_twenty_four() {
    assert_screen("small", &model(), (80, 24));
}

#[test]
fn a_large_terminal_has_longer_lines_and_whole_reasons() {
    assert_screen("large", &model(), (130, 30));
}

#[test]
fn output_and_a_notice_have_their_places() {
    let mut model = model();
    type_in(&mut model, "l");
    for (stream, line) in [("stdout", "hail"), ("stderr", "\x1b[31m雷神\tis angry")] {
        let line = LogLine {
            stream: stream.into(),
            line: line.into(),
            ..LogLine::default()
        };
        model.update(Event::Line(line), NOW);
    }
    let command = Command {
        action: Action::Stop,
        service_name: "thor".into(),
    };
    model.update(
        Event::Done(command, Outcome::Failed("thor does not want to".into())),
        NOW,
    );
    assert_screen("logs", &model, (80, 24));
}

#[test]
fn a_lost_daemon_is_told_at_the_top() {
    let mut model = model();
    model.update(Event::Lost("the daemon went away: broken pipe".into()), NOW);
    model.update(Event::Redraw, NOW + 12_000);
    assert_screen("lost", &model, (80, 24));
}

#[test]
fn help_and_questions_stand_above_the_rows() {
    let mut model = model();
    type_in(&mut model, "?");
    assert_screen("help", &model, (80, 24));
    type_in(&mut model, "qk");
    assert_screen("confirm", &model, (80, 24));
}

#[test]
fn the_filter_is_seen_while_it_is_typed_and_after() {
    let mut model = model();
    type_in(&mut model, "/lo");
    let typing = screen(&model, 80, 24);
    assert!(
        typing.contains("/lo█") && !typing.contains("thor "),
        "{typing}"
    );
    press(&mut model, KeyCode::Enter);
    assert!(screen(&model, 80, 24).contains("filter: lo "));
    type_in(&mut model, "/xxx");
    let empty = screen(&model, 80, 24);
    assert!(empty.contains("no service passes the filter"), "{empty}");
}

#[test]
fn every_size_can_be_drawn_in_every_mode() {
    for keys in ["", "/f", "?", "k", "l"] {
        let mut model = model();
        type_in(&mut model, keys);
        for zoomed in [false, true] {
            model.zoomed = zoomed;
            for (width, height) in [
                (1, 1),
                (1, 40),
                (200, 1),
                (20, 5),
                (40, 10),
                (65, 13),
                (300, 80),
            ] {
                screen(&model, width, height);
            }
        }
    }
}

#[test]
fn the_selected_row_is_on_the_screen_however_many_there_are() {
    let mut model = Model::new(NOW);
    let service = |number: i32| ServiceStatus {
        service_name: format!("service-{number:04}"),
        ..ServiceStatus::default()
    };
    let services = (0..1000).map(service).collect();
    model.update(Event::Polled(services, SystemUsage::default()), NOW);
    assert!(screen(&model, 80, 24).contains("service-0000"));
    press(&mut model, KeyCode::End);
    assert!(screen(&model, 80, 24).contains("service-0999"));
    (0..50).for_each(|_| press(&mut model, KeyCode::PageUp));
    assert!(screen(&model, 80, 24).contains("service-0499"));
}
