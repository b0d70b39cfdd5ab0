//! The board of `up`, event by event.

use gladsheim_proto::v1::ServiceStatus;

use super::*;

fn board(now: Instant) -> Board {
    Board::new(
        vec![
            ("freki".into(), vec![]),
            (
                "thor".into(),
                vec![Need {
                    name: "freki".into(),
                    condition: "healthy",
                }],
            ),
        ],
        now,
    )
}

fn event(kind: &str, name: &str) -> Event {
    Event {
        kind: kind.into(),
        service_name: name.into(),
        ..Event::default()
    }
}

fn answer(name: &str, health: &str, error: &str) -> BringUpProgress {
    let (service_name, health) = (name.to_owned(), health.to_owned());
    let state = "running".to_owned();
    let status = Some(ServiceStatus {
        service_name,
        state,
        health,
        ..Default::default()
    });
    BringUpProgress {
        status,
        error: error.into(),
        error_reason: String::new(),
    }
}

fn doing(board: &Board) -> Vec<String> {
    board
        .under_way()
        .iter()
        .map(|row| format!("{} {}", row.name, row.doing))
        .collect()
}

#[test]
fn a_row_moves_from_waiting_to_healthy_and_frees_its_dependents() {
    let now = Instant::now();
    let mut board = board(now);
    assert_eq!(board.event(&event("service.starting", "freki"), now), None);
    assert_eq!(
        doing(&board),
        ["freki starting", "thor waits for freki (healthy)"]
    );
    board.event(&event("service.started", "freki"), now);
    assert_eq!(doing(&board)[0], "freki started, not ready yet");

    assert_eq!(
        board.progress(&answer("freki", "checking", ""), false, true, now),
        None
    );
    assert_eq!(doing(&board)[0], "freki checking health");
    let mut healthy = event("health.changed", "freki");
    healthy.new_status = Some("healthy".into());
    let later = now + Duration::from_secs(2);
    let settled = board.event(&healthy, later).expect("settles");
    assert_eq!(
        (settled.outcome, settled.took),
        (Ok("healthy".into()), later - now)
    );
    assert_eq!(doing(&board), ["thor waiting"]);
}

#[test]
fn a_failure_shows_the_last_lines_in_their_order() {
    let now = Instant::now();
    let mut board = board(now);
    for number in 0..30 {
        board.line("thor", &number.to_string());
    }
    assert_eq!(
        board.progress(&answer("thor", "unknown", "exit code 1"), true, true, now),
        None
    );
    board.line("thor", "30");
    let [settled] = &*board.overdue(now + LAST_WORDS) else {
        panic!("settles")
    };
    assert_eq!(settled.outcome, Err("exit code 1".into()));
    assert_eq!(settled.tail.first().map(String::as_str), Some("21"));
    assert_eq!(settled.tail.last().map(String::as_str), Some("30"));
}

#[test]
fn a_failed_row_rests_as_soon_as_its_last_words_are_known() {
    let now = Instant::now();
    let mut board = board(now);
    board.line("thor", "as it came");
    assert_eq!(
        board.last_words("thor", vec![], now),
        None,
        "it has not failed"
    );
    board.progress(&answer("thor", "unknown", "exit code 1"), true, true, now);
    let words = vec!["first".to_owned(), "last".to_owned()];
    let settled = board.last_words("thor", words.clone(), now);
    assert_eq!(settled.map(|settled| settled.tail), Some(words));
    assert_eq!(board.last_words("thor", vec![], now), None, "only once");
    assert!(board.overdue(now + LAST_WORDS).is_empty());
}

#[test]
fn a_row_does_not_say_its_name_twice() {
    for (error, text) in [
        ("Process spawn failed: thor: exec: ENOENT", "exec: ENOENT"),
        (
            "Service thor was not started: freki has failed",
            "freki has failed",
        ),
        ("no such thing", "no such thing"),
    ] {
        assert_eq!(short("thor", error), text);
    }
}

#[test]
fn a_verdict_that_does_not_come_holds_nothing_up() {
    let now = Instant::now();
    let mut board = board(now);
    board.progress(&answer("freki", "checking", ""), false, true, now);
    assert_eq!(board.overdue(now), []);
    assert_eq!(board.overdue(now + VERDICT).len(), 1);
    assert!(
        board
            .progress(&answer("thor", "checking", ""), false, false, now)
            .is_some()
    );
    assert_eq!(doing(&board), Vec::<String>::new());
}

#[test]
fn a_verdict_that_comes_before_the_answer_counts() {
    let now = Instant::now();
    let mut board = board(now);
    let mut unhealthy = event("health.changed", "freki");
    unhealthy.new_status = Some("unhealthy".into());
    assert_eq!(board.event(&unhealthy, now), None);
    let settled = board.progress(&answer("freki", "unknown", ""), false, true, now);
    assert_eq!(settled.expect("settles").outcome, Err("unhealthy".into()));
}

#[test]
fn a_stop_brings_rows_back_until_they_are_stopped() {
    let now = Instant::now();
    let mut board = board(now);
    board.progress(&answer("freki", "healthy", ""), false, true, now);
    board.progress(&answer("thor", "healthy", ""), false, true, now);
    board.event(&event("service.stopping", "thor"), now);
    assert_eq!(doing(&board), ["thor stopping"]);
    let settled = board
        .event(&event("service.stopped", "thor"), now)
        .expect("settles");
    assert_eq!(settled.outcome, Ok("stopped".into()));
}
