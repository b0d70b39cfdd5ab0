//! The model of `top`, without a terminal and without a daemon.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::*;

fn status(name: &str, state: &str, cpu: f32, memory: u64, restarts: u32) -> ServiceStatus {
    ServiceStatus {
        service_name: name.into(),
        state: state.into(),
        health: "healthy".into(),
        cpu_percent: Some(cpu),
        memory_bytes: Some(memory),
        restart_count: restarts,
        ..ServiceStatus::default()
    }
}

fn polled() -> Event {
    let services = vec![
        status("thor", "running", 5.0, 100, 0),
        status("freki", "running", 9.0, 50, 1),
        status("loki", "failed", 0.0, 0, 3),
    ];
    Event::Polled(services, SystemUsage::default())
}

fn model() -> Model {
    let mut model = Model::new(0);
    assert_eq!(model.update(polled(), 1), [describe("thor")]);
    model
}

fn describe(name: &str) -> Effect {
    Effect::Describe(name.to_owned())
}

fn command(action: Action, name: &str) -> Command {
    Command {
        action,
        service_name: name.to_owned(),
    }
}

fn press(model: &mut Model, code: KeyCode) -> Vec<Effect> {
    model.update(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)), 2)
}

fn type_in(model: &mut Model, text: &str) -> Vec<Effect> {
    let typed = text
        .chars()
        .flat_map(|char| press(model, KeyCode::Char(char)));
    typed.collect()
}

fn names(model: &Model) -> Vec<&str> {
    let shown = model.shown().into_iter();
    shown.map(|service| &*service.status.service_name).collect()
}

#[test]
fn keys_sort_and_the_same_key_again_reverses() {
    let mut model = model();
    for (key, order) in [
        ('P', ["freki", "thor", "loki"]),
        ('P', ["loki", "thor", "freki"]),
        ('M', ["thor", "freki", "loki"]),
        ('R', ["loki", "freki", "thor"]),
        ('N', ["freki", "loki", "thor"]),
        ('T', ["loki", "thor", "freki"]),
        ('H', ["thor", "freki", "loki"]),
        ('O', ["loki", "freki", "thor"]),
        ('o', ["freki", "loki", "thor"]),
    ] {
        type_in(&mut model, &key.to_string());
        assert_eq!(names(&model), order, "{key}");
    }
}

#[test]
fn the_selection_follows_its_service_and_not_its_row() {
    let mut model = model();
    assert_eq!(press(&mut model, KeyCode::Down), [describe("freki")]);
    assert_eq!(type_in(&mut model, "N"), []);
    assert_eq!(model.selection(), Some("freki"));
    assert_eq!(press(&mut model, KeyCode::End), [describe("thor")]);
    assert_eq!(press(&mut model, KeyCode::PageUp), [describe("freki")]);
    assert_eq!(press(&mut model, KeyCode::Up), []);
}

#[test]
fn a_filter_takes_letters_that_are_commands_elsewhere() {
    let mut model = model();
    assert_eq!(type_in(&mut model, "/k"), [describe("freki")]);
    assert_eq!(names(&model), ["freki", "loki"]);
    type_in(&mut model, "i");
    assert_eq!(names(&model), ["freki", "loki"]);
    type_in(&mut model, "x");
    assert_eq!((names(&model), model.selection()), (vec![], None));
    press(&mut model, KeyCode::Backspace);
    press(&mut model, KeyCode::Enter);
    assert_eq!(names(&model), ["freki", "loki"]);
    assert_eq!(model.mode, Mode::Browse);
    press(&mut model, KeyCode::Esc);
    assert_eq!(names(&model).len(), 3);
    type_in(&mut model, "/failed");
    assert_eq!(names(&model), ["loki"], "a state is text as well");
}

#[test]
fn actions_are_asked_for_and_their_outcome_is_told() {
    let mut model = model();
    let stop = command(Action::Stop, "thor");
    assert_eq!(type_in(&mut model, "x"), [Effect::Ask(stop.clone())]);
    assert_eq!(model.under_way.get("thor"), Some(&Action::Stop));
    model.update(Event::Done(stop, Outcome::Done("stopped".into())), 3);
    assert!(model.under_way.is_empty());
    assert_eq!(
        model.notice.as_ref().map(|it| &*it.text),
        Some("thor: stopped")
    );
    let start = command(Action::Start, "thor");
    assert_eq!(type_in(&mut model, "s"), [Effect::Ask(start.clone())]);
    model.update(
        Event::Done(start, Outcome::Failed("no such file".into())),
        4,
    );
    assert!(model.notice.as_ref().is_some_and(|notice| notice.is_bad));
}

#[test]
fn a_kill_and_a_stop_that_others_need_are_confirmed_first() {
    let mut model = model();
    assert_eq!(type_in(&mut model, "kn"), []);
    assert_eq!(model.mode, Mode::Browse, "n is a no");
    let kill = command(Action::Kill, "thor");
    assert_eq!(type_in(&mut model, "ky"), [Effect::Ask(kill)]);

    let needed = Outcome::Needed("thor is needed by loki".into());
    model.update(Event::Done(command(Action::Stop, "thor"), needed), 3);
    let Mode::Confirm(_, question) = &model.mode else {
        panic!("asks: {:?}", model.mode);
    };
    assert_eq!(question, "thor is needed by loki. Stop these too?");
    let force = command(Action::ForceStop, "thor");
    assert_eq!(type_in(&mut model, "y"), [Effect::Ask(force)]);
}

#[test]
fn output_is_followed_of_the_selected_service_only_while_it_is_shown() {
    let mut model = model();
    let follow = |name: &str| Effect::Follow(Some(name.to_owned()));
    assert_eq!(type_in(&mut model, "l"), [follow("thor")]);
    model.update(Event::Line(LogLine::default()), 2);
    assert_eq!(model.lines.len(), 1);
    assert_eq!(
        press(&mut model, KeyCode::Down),
        [describe("freki"), follow("freki")]
    );
    assert!(model.lines.is_empty(), "they were another's");
    assert_eq!(type_in(&mut model, "l"), [Effect::Follow(None)]);
}

#[test]
fn a_lost_daemon_is_told_once_and_what_was_known_stays() {
    let mut model = model();
    type_in(&mut model, "l");
    assert_eq!(
        model.update(Event::Lost("gone".into()), 5),
        [Effect::Follow(None)]
    );
    model.update(Event::Lost("still gone".into()), 9);
    assert_eq!(model.link, Link::Lost("gone".into(), 5));
    assert_eq!(names(&model).len(), 3);
    assert_eq!(type_in(&mut model, "x"), [], "there is nobody to ask");
    let follow = Effect::Follow(Some("thor".to_owned()));
    assert_eq!(model.update(polled(), 10), [describe("thor"), follow]);
    assert_eq!(model.link, Link::Up);
    assert_eq!(
        model.notice.as_ref().map(|it| &*it.text),
        Some("the daemon is back")
    );
}

#[test]
fn a_late_description_of_another_service_is_not_shown() {
    let mut model = model();
    let description = |name: &str| {
        let status = Some(status(name, "running", 0.0, 0, 0));
        Event::Described(Box::new(ServiceDescription {
            status,
            ..ServiceDescription::default()
        }))
    };
    model.update(description("freki"), 3);
    assert_eq!(model.detail, None);
    model.update(description("thor"), 3);
    assert!(model.detail.is_some());
}

#[test]
fn a_service_that_goes_from_the_hall_goes_from_the_rows_and_samples_are_bounded() {
    let mut model = model();
    for _ in 0..2 * SAMPLES {
        model.update(polled(), 3);
    }
    assert_eq!(model.services[0].cpu.len(), SAMPLES);
    let left = vec![status("freki", "running", 1.0, 1, 1)];
    let effects = model.update(Event::Polled(left, SystemUsage::default()), 4);
    assert_eq!(effects, [describe("freki")]);
    assert_eq!(model.services[0].cpu.len(), SAMPLES, "it goes on");
}

#[test]
fn control_keys_mean_the_same_everywhere() {
    for mode in ["", "/", "?", "k"] {
        for (char, effect) in [
            ('c', Effect::Quit),
            ('z', Effect::Suspend),
            ('l', Effect::Clear),
        ] {
            let mut model = model();
            type_in(&mut model, mode);
            let key = KeyEvent::new(KeyCode::Char(char), KeyModifiers::CONTROL);
            assert_eq!(model.update(Event::Key(key), 2), [effect], "{mode}{char}");
        }
    }
}

#[test]
fn a_hall_that_closes_keeps_its_rows_and_one_that_stays_empty_loses_them() {
    let mut model = model();
    let empty = || Event::Polled(Vec::new(), SystemUsage::default());
    model.update(empty(), 10);
    model.update(Event::Lost("gone".into()), 20);
    assert_eq!(names(&model).len(), 3);
    model.update(polled(), 5000);
    model.update(empty(), 6000);
    assert_eq!(names(&model).len(), 3);
    model.update(empty(), 6000 + CLOSING_MS);
    assert_eq!(names(&model).len(), 0);
    assert_eq!(model.link, Link::Up);
}
