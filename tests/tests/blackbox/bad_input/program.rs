//! Programs that cannot be started: `check` warns beforehand; a start fails once, at the stage that failed.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
};

use gladsheim_tests::{TestDaemon, bin};
use serde_json::Value;

use super::{error_of, leaves_nothing, neighbour, says};

/// `thor`, which would be brought back without end if that were any use.
fn thor(keys: &str) -> String {
    neighbour()
        + "[services.thor]\nrestart = { policy = \"always\", backoff = \"1ms\", max_attempts = 0 }\n"
        + keys
}

fn obedient() -> String {
    format!(
        "path = {}\n",
        Value::from(bin("svc-obedient").to_str().unwrap())
    )
}

fn script(hall: &TestDaemon, text: &str, mode: u32) {
    let path = hall.path("thor.sh");
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// `check` warns of the last line of the file, in these words, and nothing else.
#[track_caller]
fn warns(hall: &TestDaemon, words: &[&str]) {
    let checked = hall.cli(["check"]).expect_code(0);
    let file = fs::read_to_string(hall.hall_file()).unwrap();
    let line = file.trim_end().lines().count();
    let column = 1 + file.lines().nth(line - 1).unwrap().find('"').unwrap();
    let place = format!(
        "{}:{line}:{column}: warning: thor: ",
        hall.hall_file().display()
    );
    assert!(checked.stderr.starts_with(&place), "{place}: {checked:#?}");
    assert_eq!(checked.stderr.lines().count(), 1, "{checked:#?}");
    says(&checked.stderr, words);
}

/// A start fails with this exit code, reason and words; the service is given up at once.
#[track_caller]
fn fails(hall: &TestDaemon, code: i32, reason: &str, words: &[&str]) {
    let refused = hall
        .cli(["--format", "json", "start", "thor"])
        .expect_code(code);
    assert_eq!(
        refused.stderr.lines().count(),
        2,
        "a line and a document: {refused:#?}"
    );
    let error = error_of(&refused);
    assert_eq!(error["reason"], reason, "{error}");
    assert_eq!(error["service_name"], "thor", "{error}");
    says(error["message"].as_str().unwrap(), words);
    says(refused.stderr.lines().next().unwrap(), words);

    let failed = hall.status("thor");
    assert_eq!(failed["state"], "failed", "{failed}");
    assert_eq!(failed["cause"], "spawn", "{failed}");
    assert_eq!(failed["process_id"], 0, "{failed}");
    assert_eq!(failed["restart_count"], 0, "{failed}");
    assert!(failed["next_attempt_at"].is_null(), "{failed}");
    says(failed["error_message"].as_str().unwrap(), words);
    // Nobody waits for what cannot come.
    let waited = hall
        .cli(["wait", "thor", "--for", "running"])
        .expect_code(1);
    says(&waited.stderr, words);
}

/// What happened to `thor`, as kinds of events.
#[track_caller]
fn kinds(hall: &TestDaemon) -> Vec<String> {
    let events = hall
        .cli(["--format", "json", "events"])
        .expect_code(0)
        .json_lines();
    let of_thor = events
        .iter()
        .filter(|event| event["service_name"] == "thor");
    of_thor
        .map(|event| event["kind"].as_str().unwrap().to_owned())
        .collect()
}

/// The whole life of a service that cannot be started because of the last line of its section.
#[track_caller]
fn is_given_up(keys: &str, prepare: impl FnOnce(&TestDaemon), warning: &[&str], error: &[&str]) {
    let mut hall = TestDaemon::prepare(&thor(&format!("autostart = false\n{keys}")));
    prepare(&hall);
    warns(&hall, warning);
    hall.spawn();
    fails(&hall, 1, "spawn_failed", error);
    assert_eq!(kinds(&hall), ["service.starting", "service.failed"]);
    leaves_nothing(hall);
}

#[test]
fn a_missing_binary() {
    is_given_up(
        "path = \"bin/nowhere\"\n",
        |_| {},
        &["bin/nowhere does not exist"],
        &["thor: exec ", "/bin/nowhere", "ENOENT"],
    );
}

#[test]
fn a_bare_name_that_is_in_no_folder_of_path() {
    is_given_up(
        "path = \"gladsheim-no-such-program\"\n",
        |_| {},
        &["gladsheim-no-such-program is in no folder of PATH"],
        &["thor: exec ", "gladsheim-no-such-program", "ENOENT"],
    );
}

#[test]
fn a_folder_as_binary() {
    is_given_up(
        "path = \"./bin\"\n",
        |hall| fs::create_dir(hall.path("bin")).unwrap(),
        &["bin is a folder"],
        &["thor: exec ", "/bin", "EACCES", "directory"],
    );
}

#[test]
fn a_binary_without_execute_bit() {
    is_given_up(
        "path = \"./thor.sh\"\n",
        |hall| script(hall, "#!/bin/sh\n", 0o644),
        &["thor.sh has no execute bit"],
        &["thor: exec ", "/thor.sh", "EACCES", "chmod +x"],
    );
}

#[test]
fn an_unknown_user() {
    is_given_up(
        &(obedient() + "user = \"gladsheim-nobody\"\n"),
        |_| {},
        &["there is no user \"gladsheim-nobody\""],
        &["thor: user gladsheim-nobody: no such user"],
    );
}

#[test]
fn a_missing_env_file() {
    is_given_up(
        &(obedient() + "env_file = \"thor.env\"\n"),
        |_| {},
        &["thor.env does not exist"],
        &["thor: env_file ", "/thor.env", "ENOENT"],
    );
}

#[test]
fn a_missing_working_folder() {
    is_given_up(
        &(obedient() + "working_dir = \"nowhere\"\n"),
        |_| {},
        &["nowhere does not exist"],
        &["thor: chdir ", "/nowhere", "ENOENT"],
    );
}

/// What only `exec` itself can tell, and `check` does not foresee.
#[track_caller]
fn is_given_up_unforeseen(text: &str, error: &[&str]) {
    let mut hall = TestDaemon::prepare(&thor("autostart = false\npath = \"./thor.sh\"\n"));
    script(&hall, text, 0o755);
    hall.cli(["check"]).expect_code(0);
    hall.spawn();
    fails(&hall, 1, "spawn_failed", error);
    leaves_nothing(hall);
}

#[test]
fn a_script_whose_interpreter_is_missing() {
    is_given_up_unforeseen(
        "#!/nowhere/interpreter\n",
        &["thor: exec ", "/thor.sh", "ENOENT", "interpreter"],
    );
}

#[test]
fn a_file_that_is_no_program() {
    is_given_up_unforeseen("\0\0\0\0", &["thor: exec ", "/thor.sh", "ENOEXEC"]);
}

#[test]
fn a_binary_that_everybody_may_change_is_not_authorised() {
    let mut hall = TestDaemon::prepare(&thor("autostart = false\npath = \"./thor.sh\"\n"));
    script(&hall, "#!/bin/sh\nexec sleep 1000\n", 0o777);
    hall.spawn();
    fails(
        &hall,
        6,
        "unauthorized",
        &["/thor.sh is world-writable", "chmod o-w"],
    );
    assert_eq!(
        kinds(&hall),
        ["service.starting", "auth.refused", "service.failed"]
    );

    // The way out that was named is one.
    script(&hall, "#!/bin/sh\nexec sleep 1000\n", 0o755);
    hall.cli(["start", "thor"]).expect_code(0);
    assert_eq!(hall.status("thor")["state"], "running");
    leaves_nothing(hall);
}

#[test]
fn a_binary_that_is_not_the_pinned_one_is_not_authorised() {
    let pin = "0".repeat(64);
    let keys = format!("autostart = false\n{}sha256 = \"{pin}\"\n", obedient());
    let hall = TestDaemon::start(&thor(&keys));
    fails(
        &hall,
        6,
        "unauthorized",
        &["svc-obedient has the SHA-256 ", "not the pinned one"],
    );
    leaves_nothing(hall);
}

#[test]
fn a_missing_folder_for_one_start_harms_only_that_one() {
    let hall = TestDaemon::start(&thor(&("autostart = false\n".to_owned() + &obedient())));
    let refused = hall
        .cli(["start", "thor", "--working-dir", "/nowhere"])
        .expect_code(1);
    says(&refused.stderr, &["thor: chdir /nowhere", "ENOENT"]);
    assert_eq!(hall.status("thor")["state"], "failed");
    hall.cli(["start", "thor"]).expect_code(0);
    assert_eq!(hall.status("thor")["state"], "running");
    leaves_nothing(hall);
}

#[test]
fn a_missing_binary_does_not_keep_the_others_from_being_brought_up() {
    let hall = TestDaemon::start(&thor("path = \"bin/nowhere\"\n"));
    let failed = hall.wait_for_state("thor", "failed");
    assert_eq!(failed["cause"], "spawn", "{failed}");
    says(&hall.log(), &["thor", "ENOENT"]);
    leaves_nothing(hall);
}

#[test]
fn what_needs_a_service_that_cannot_be_started_is_not_started() {
    let keys =
        "path = \"bin/nowhere\"\n[services.magni]\ndepends_on = [\"thor\"]\nautostart = false\n";
    let hall = TestDaemon::start(&thor(&(keys.to_owned() + &obedient())));
    let refused = hall
        .cli(["--format", "json", "start", "magni"])
        .expect_code(1);
    let error = error_of(&refused);
    assert_eq!(error["reason"], "dependency_failed", "{error}");
    says(
        error["message"].as_str().unwrap(),
        &["magni", "thor", "ENOENT"],
    );
    let magni = hall.status("magni");
    assert_eq!(magni["cause"], "dependency", "{magni}");
    assert_eq!(magni["process_id"], 0, "{magni}");
    leaves_nothing(hall);
}

#[test]
fn up_in_the_background_tells_what_is_not_up_and_leaves_the_daemon() {
    let hall = TestDaemon::prepare(&thor("path = \"bin/nowhere\"\n"));
    let up = hall.cli(["up", "--detach"]).expect_code(1);
    says(&up.stderr, &["thor", "exec", "ENOENT"]);
    assert_eq!(hall.status("freki")["state"], "running");
    hall.cli(["shutdown"]).expect_code(0);
    assert!(!hall.socket().exists());
    assert!(hall.processes().is_empty(), "{:?}", hall.processes());
}
