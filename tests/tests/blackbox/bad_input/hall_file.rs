//! Hall files that cannot be used: all that is wrong is told with its place, and nothing is touched.

use std::{fs, os::unix::net::UnixListener};

use gladsheim_tests::{Output, TestDaemon, service};

use super::{error_of, says};

/// Every command that would read the file refuses it in the same words; these are returned.
#[track_caller]
fn refused(hall: &TestDaemon) -> Output {
    let said = hall.cli(["check"]).expect_code(2);
    assert_eq!(said.stdout, "", "{said:#?}");
    for command in [
        &["daemon"][..],
        &["up"],
        &["up", "--detach"],
        &["start", "thor"],
    ] {
        let again = hall.cli(command.iter().copied()).expect_code(2);
        assert_eq!(again.stderr, said.stderr, "{command:?}");
        assert_eq!(again.stdout, "", "{command:?}");
    }
    let json = hall.cli(["--format", "json", "check"]).expect_code(2);
    assert_eq!(json.stdout, "", "{json:#?}");
    let error = error_of(&json);
    assert_eq!(error["reason"], "hall_file", "{error}");
    assert_eq!(error["message"], said.stderr.trim_end(), "{error}");

    assert!(hall.processes().is_empty(), "{:?}", hall.processes());
    assert!(!hall.socket().exists());
    assert!(
        !hall.path("state").exists(),
        "a refused start leaves no state"
    );
    said
}

/// Each line of what was said begins with its place in the file, and goes on with these words.
#[track_caller]
fn tells(hall: &TestDaemon, expected: &[(&str, &str)]) {
    let said = refused(hall);
    let lines: Vec<_> = said.stderr.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{said:#?}");
    for (line, (place, words)) in lines.iter().zip(expected) {
        let place = format!("{}:{place}: ", hall.hall_file().display());
        assert!(
            line.starts_with(&place),
            "{place} is not the place of: {line}"
        );
        says(line, &[words]);
    }
}

#[test]
fn everything_wrong_is_told_at_once_each_with_its_place() {
    let long = "x".repeat(300);
    let hall = TestDaemon::prepare(&format!(
        "plattform = \"asgard\"\n\
         [services.thor]\n\
         path = \"/bin/true\"\n\
         autostrat = true\n\
         depends_on = [\"freki\"]\n\
         health = {{ http = \"http//127.0.0.1:8081\" }}\n\
         [services.freki]\n\
         path = \"/bin/true\"\n\
         depends_on = [\"thor\", \"lokki\"]\n\
         health = {{ grpc = \"127.0.0.1:70000\" }}\n\
         [services.loki]\n\
         path = \"/bin/true\"\n\
         health = {{ tcp = \"127.0.0.1\" }}\n\
         [services.\"a/b\"]\n\
         path = \"/bin/true\"\n\
         [services.{long}]\n\
         path = \"/bin/true\"\n"
    ));
    tells(
        &hall,
        &[
            ("4:1", "did you mean `platform`?"),
            ("7:1", "did you mean `autostart`?"),
            ("9:19", "expected a URL such as \"http://"),
            ("12:15", "dependency cycle: thor -> freki -> thor"),
            ("12:23", "did you mean `loki`?"),
            ("13:19", "expected an address such as \"127.0.0.1:8081\""),
            ("16:18", "expected an address such as \"127.0.0.1:8081\""),
            ("17:11", "`a/b` is not a name: a letter or digit first"),
            ("19:11", "has 300 bytes; at most 64 are allowed"),
        ],
    );
}

#[test]
fn what_is_no_toml_is_told_with_its_place() {
    let hall = TestDaemon::prepare("[services.thor]\npath = = \"/bin/true\"");
    tells(&hall, &[("5:8", "extra `=`")]);
    fs::write(hall.hall_file(), "<hall>\n  <service/>\n</hall>\n").unwrap();
    tells(&hall, &[("1:7", "expected `=`")]);
}

#[test]
fn what_is_no_text_is_told_with_its_line() {
    let hall = TestDaemon::prepare("");
    fs::write(hall.hall_file(), b"platform = \"asgard\"\n\xff\xfe\n").unwrap();
    says(
        &refused(&hall).stderr,
        &["gladsheim.toml: is not UTF-8 text", "line 2"],
    );
}

#[test]
fn what_is_no_file_at_all_is_neither_waited_for_nor_read() {
    let hall = TestDaemon::prepare("");
    fs::remove_file(hall.hall_file()).unwrap();
    says(
        &refused(&hall).stderr,
        &["gladsheim.toml: there is no such file", "--hall"],
    );

    fs::create_dir(hall.hall_file()).unwrap();
    says(
        &refused(&hall).stderr,
        &["gladsheim.toml: is no regular file"],
    );
    fs::remove_dir(hall.hall_file()).unwrap();

    let _socket = UnixListener::bind(hall.hall_file()).unwrap();
    says(
        &refused(&hall).stderr,
        &["gladsheim.toml: is no regular file"],
    );
}

#[test]
fn an_empty_file_is_a_hall_without_services() {
    let mut hall = TestDaemon::prepare("");
    hall.cli(["check"]).expect_code(0);
    hall.spawn();
    let services = hall
        .cli(["--format", "json", "status"])
        .expect_code(0)
        .json();
    assert_eq!(services, serde_json::json!([]));
    hall.cli(["shutdown"]).expect_code(0);
    assert!(hall.wait().success());
    assert!(!hall.socket().exists());
}

#[test]
fn a_file_that_went_bad_does_not_disturb_the_daemon_that_has_read_it() {
    let mut hall = TestDaemon::start(&service("thor", "svc-obedient", &[]));
    hall.wait_for_state("thor", "running");
    hall.write_hall("[services.thor]\npth = \"/bin/true\"");
    hall.cli(["status"]).expect_code(2);
    // Whoever names the socket needs no file.
    let socket = hall.socket();
    let mut shutdown = hall.command();
    shutdown.args(["shutdown", "--socket", socket.to_str().unwrap()]);
    assert!(shutdown.status().unwrap().success());
    assert!(hall.wait().success());
}
