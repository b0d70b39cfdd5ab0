//! Who may do what: real callers of other users and groups at the real socket.

use std::{os::unix::fs::MetadataExt as _, process::Command};

use gladsheim_tests::{Output, TestDaemon, run, service, skip, wait_until};
use nix::unistd::geteuid;

/// Numbers that nobody has.
const ALICE: u32 = 54_001;
const OPS: u32 = 54_100;
const DEV: u32 = 54_101;

/// Whether we may become others; otherwise a note that the test was skipped.
fn may_switch() -> bool {
    let may = geteuid().is_root();
    if !may {
        skip("other users than our own: only root can be them");
    }
    may
}

/// A hall with one service that others can reach, if the daemon lets them.
fn hall(access: &str) -> TestDaemon {
    TestDaemon::start(&keys(access))
}

fn keys(access: &str) -> String {
    access.to_owned() + "\n" + &service("thor", "svc-obedient", &[]) + "autostart = false\n"
}

/// Runs a command as another user, with the group of the same number and supplementary ones.
fn as_user(hall: &TestDaemon, uid: u32, groups: &[u32], arguments: &[&str]) -> Output {
    let groups: Vec<_> = groups.iter().map(u32::to_string).collect();
    let groups = match groups.join(",") {
        none if none.is_empty() => "--clear-groups".to_owned(),
        some => format!("--groups={some}"),
    };
    let (user, group) = (format!("--reuid={uid}"), format!("--regid={uid}"));
    let mut command = by_way_of(&["setpriv", &user, &group, &groups, "--"], &hall.command());
    run(command.args(arguments))
}

/// A command that another program turns into.
fn by_way_of(wrapper: &[&str], command: &Command) -> Command {
    let mut wrapped = Command::new(wrapper[0]);
    wrapped
        .args(&wrapper[1..])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    wrapped
}

fn mode(hall: &TestDaemon) -> u32 {
    hall.socket().metadata().unwrap().mode() & 0o777
}

#[test]
fn without_access_others_are_refused_at_the_socket() {
    if !may_switch() {
        return;
    }
    let hall = hall("");
    assert_eq!(mode(&hall), 0o600);
    let refused = as_user(&hall, ALICE, &[], &["--format", "json", "status"]).expect_code(6);
    assert!(refused.stderr.contains("access_denied"), "{refused:#?}");
    assert!(refused.stderr.contains("[access]"), "{refused:#?}");
}

#[test]
fn a_reader_may_look_and_not_act_and_the_log_says_who_tried() {
    if !may_switch() {
        return;
    }
    let hall = hall(&format!("access.read = ['user:{ALICE}']"));
    assert_eq!(mode(&hall), 0o666);
    for looking in [
        &["status"][..],
        &["events"],
        &["logs"],
        &["stats"],
        &["usage"],
        &["limits", "thor"],
        &["health", "thor"],
    ] {
        as_user(&hall, ALICE, &[], looking).expect_code(0);
    }
    for acting in [
        &["start", "thor"][..],
        &["stop", "thor"],
        &["kill", "thor"],
        &["restart", "thor"],
        &["signal", "thor", "HUP"],
        &["reset"],
        &["maintenance", "thor", "on"],
        &["limits", "thor", "--memory", "1GiB"],
        &["check-health", "thor"],
        &["load"],
        &["plan"],
        &["reload"],
        &["shutdown"],
    ] {
        let refused = as_user(&hall, ALICE, &[], acting).expect_code(6);
        let way_out = ["only read", "`control = […]` below `[access]`"];
        assert!(
            way_out.iter().all(|part| refused.stderr.contains(part)),
            "{refused:#?}"
        );
    }
    wait_until("the refusal in the log", || {
        let log = hall.log();
        let told = log.lines().any(|line| {
            let who = format!("uid={ALICE}");
            let what = "gladsheim.v1.GladsheimService/StartService";
            line.contains(what) && line.contains(&who) && line.contains("pid=")
        });
        told.then_some(())
    });
    // Nobody has let this one in.
    as_user(&hall, ALICE + 1, &[], &["status"]).expect_code(6);
    hall.cli(["start", "thor"]).expect_code(0);
}

#[test]
fn one_group_opens_the_socket_to_that_group_and_counts_as_a_supplementary_one() {
    if !may_switch() {
        return;
    }
    let hall = hall(&format!("access.control = ['group:{OPS}']"));
    assert_eq!(mode(&hall), 0o660);
    assert_eq!(hall.socket().metadata().unwrap().gid(), OPS);
    as_user(&hall, ALICE, &[DEV, OPS], &["start", "thor"]).expect_code(0);
    as_user(&hall, OPS, &[], &["stop", "thor"]).expect_code(0);
    as_user(&hall, ALICE, &[DEV], &["status"]).expect_code(6);
}

#[test]
fn of_many_groups_each_counts() {
    if !may_switch() {
        return;
    }
    let hall = hall(&format!(
        "access = {{ read = ['group:{OPS}'], control = ['group:{DEV}'] }}"
    ));
    assert_eq!(mode(&hall), 0o666);
    let many: Vec<_> = (55_000..55_200).chain([OPS]).collect();
    as_user(&hall, ALICE, &many, &["status"]).expect_code(0);
    as_user(&hall, ALICE, &many, &["start", "thor"]).expect_code(6);
    let all: Vec<_> = many.into_iter().chain([DEV]).collect();
    as_user(&hall, ALICE, &all, &["start", "thor"]).expect_code(0);
    as_user(&hall, ALICE, &[], &["status"]).expect_code(6);
}

#[test]
fn a_reload_gives_access_and_takes_it_away() {
    if !may_switch() {
        return;
    }
    let hall = hall("");
    hall.write_hall(&keys(&format!("access.control = ['user:{ALICE}']")));
    hall.cli(["reload"]).expect_code(0);
    assert_eq!(mode(&hall), 0o666);
    as_user(&hall, ALICE, &[], &["start", "thor"]).expect_code(0);

    hall.write_hall(&keys(&format!("access.read = ['group:{OPS}']")));
    hall.cli(["reload"]).expect_code(0);
    assert_eq!(mode(&hall), 0o660);
    as_user(&hall, ALICE, &[], &["status"]).expect_code(6);
    as_user(&hall, ALICE, &[OPS], &["status"]).expect_code(0);
    as_user(&hall, ALICE, &[OPS], &["stop", "thor"]).expect_code(6);

    hall.write_hall(&keys(""));
    hall.cli(["reload"]).expect_code(0);
    assert_eq!(mode(&hall), 0o600);
    as_user(&hall, ALICE, &[OPS], &["status"]).expect_code(6);
}

#[test]
fn somebody_who_does_not_exist_is_an_error_with_its_place_and_changes_nothing() {
    let nobody = keys("access.read = ['group:0', 'user:no-such-user']");
    let hall = TestDaemon::prepare(&nobody);
    for command in ["check", "daemon"] {
        let refused = hall.cli([command]).expect_code(2);
        let line = refused
            .stderr
            .lines()
            .find(|line| line.contains("no-such-user"));
        let place = |line: &&str| line.contains(":27: read: there is no user");
        assert!(line.is_some_and(|line| place(&line)), "{refused:#?}");
    }

    let hall = TestDaemon::start(&keys(""));
    hall.write_hall(&nobody);
    let refused = hall.cli(["reload"]).expect_code(2);
    assert!(refused.stderr.contains("no-such-user"), "{refused:#?}");
    assert_eq!(mode(&hall), 0o600);
}

#[test]
fn the_socket_has_its_mode_from_its_first_moment_under_any_umask() {
    for umask in ["000", "077"] {
        for (access, expected) in [("", 0o600), ("access.read = ['user:54001']", 0o666)] {
            let mut hall = TestDaemon::prepare(&keys(access));
            let shell = ["sh", "-c", &format!("umask {umask}; exec \"$@\""), "sh"];
            let mut daemon = by_way_of(&shell, &hall.daemon_command());
            let socket = hall.socket();
            let mut first_mode = None;
            hall.spawn_by(|| {
                let mut child = daemon.spawn().unwrap();
                while first_mode.is_none() && child.try_wait().unwrap().is_none() {
                    first_mode = socket.symlink_metadata().ok().map(|found| found.mode());
                }
                child
            });
            assert_eq!(
                first_mode.map(|mode| mode & 0o777),
                Some(expected),
                "{umask}"
            );
            assert_eq!(mode(&hall), expected, "{umask} {access}");
        }
    }
}
