//! What the program says about itself: completion scripts, manual pages, the schema of the hall file.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
};

use gladsheim_tests::{TestDaemon, bin, service, skip};

/// A hall whose folder `bin` has the program under its own name, and a command of that hall with it in `PATH`.
fn shell(hall: &TestDaemon, program: &str) -> Command {
    let folder = hall.path("bin");
    if !folder.exists() {
        fs::create_dir(&folder).unwrap();
        symlink(bin("gladsheim-under-test"), folder.join("gladsheim")).unwrap();
    }
    let mut command = Command::new(program);
    command
        .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
        .env("GLADSHEIM_HALL", hall.hall_file())
        .env("HOME", hall.path(""))
        .stdin(Stdio::null());
    command
}

/// Runs a script of a shell to its end; lines of what it printed.
#[track_caller]
fn lines(mut command: Command) -> Vec<String> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.split(['\n', '\x0b'])
        .map(str::to_owned)
        .filter(|line| !line.is_empty())
        .collect()
}

/// What bash offers for the last word of a line.
#[track_caller]
fn completed(hall: &TestDaemon, words: &[&str]) -> Vec<String> {
    let script = "eval \"$(gladsheim completions bash)\"; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
                  COMP_TYPE=9; _clap_complete_gladsheim gladsheim \"${COMP_WORDS[COMP_CWORD]}\" x; \
                  printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut bash = shell(hall, "bash");
    bash.args(["--norc", "-c", script, "bash"]).args(words);
    lines(bash)
        .iter()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

#[test]
fn a_shell_completes_commands_and_options() {
    let hall = TestDaemon::prepare("");
    let mut offered = completed(&hall, &["gladsheim", "chec"]);
    offered.sort();
    assert_eq!(offered, ["check", "check-health"]);
    assert!(completed(&hall, &["gladsheim", "stop", "--f"]).contains(&"--force".to_owned()));
    assert_eq!(
        completed(&hall, &["gladsheim", "completions", "f"]),
        ["fish"]
    );
}

#[test]
fn a_shell_completes_names_of_services_with_and_without_a_daemon() {
    let services = service("thor", "svc-obedient", &[])
        + &service("thrym", "svc-obedient", &[])
        + &service("freki", "svc-obedient", &[]);
    let mut hall = TestDaemon::prepare(&services);
    for _ in ["without", "with"] {
        assert_eq!(
            completed(&hall, &["gladsheim", "start", "th"]),
            ["thor", "thrym"]
        );
        if hall.socket().exists() {
            // Only the daemon knows them now.
            fs::write(hall.hall_file(), "nonsense").unwrap();
            let socket = hall.socket().display().to_string();
            let words = ["gladsheim", "--socket", &socket, "logs", "fr"];
            assert_eq!(completed(&hall, &words), ["freki"]);
        } else {
            hall.spawn();
        }
    }
}

#[test]
fn zsh_and_fish_understand_their_scripts() {
    let hall = TestDaemon::prepare("");
    for (name, program) in [("zsh", "/usr/bin/zsh"), ("fish", "/usr/bin/fish")] {
        if !Path::new(program).exists() {
            skip(&format!("{name} is not installed (Debian: {name})"));
            continue;
        }
        let script = hall.cli(["completions", name]).expect_code(0).stdout;
        fs::write(hall.path(name), &script).unwrap();
        let mut check = shell(&hall, program);
        check.arg("-n").arg(hall.path(name));
        assert_eq!(lines(check), [""; 0], "{name}");
    }
    if Path::new("/usr/bin/fish").exists() {
        let mut fish = shell(&hall, "/usr/bin/fish");
        let line = "source fish; complete --do-complete 'gladsheim shut'";
        fish.args(["--no-config", "-c", line])
            .current_dir(hall.path(""));
        let offered = lines(fish);
        assert!(
            offered.iter().any(|line| line.starts_with("shutdown")),
            "{offered:?}"
        );
    }
}

#[test]
fn every_command_has_its_manual_page() {
    let hall = TestDaemon::prepare("");
    let page = hall.cli(["man"]).expect_code(0).stdout;
    assert!(page.contains(".TH gladsheim 1"), "{page}");
    let folder = hall.path("man");
    hall.cli(["man", "--dir", folder.to_str().unwrap()])
        .expect_code(0);
    let help = hall.cli(["--help"]).expect_code(0).stdout;
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands: Vec<_> = commands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() > 25, "{commands:?}");
    for command in commands {
        let page = folder.join(format!("gladsheim-{command}.1"));
        assert!(page.exists(), "{}", page.display());
    }
}

#[test]
fn the_schema_is_json_schema_and_takes_the_hall_files_of_the_project() {
    let hall = TestDaemon::prepare("");
    let schema = hall.cli(["schema"]).expect_code(0);
    assert_eq!(
        schema.json()["$schema"],
        "http://json-schema.org/draft-07/schema#"
    );
    let script = "import json, sys, tomllib, jsonschema\n\
        schema = json.load(open(sys.argv[1]))\n\
        jsonschema.Draft7Validator.check_schema(schema)\n\
        for file in sys.argv[2:]:\n    \
            jsonschema.Draft7Validator(schema).validate(tomllib.load(open(file, 'rb')))\n";
    let python = ["python3", "/usr/bin/python3"].into_iter().find(|python| {
        let has = Command::new(python)
            .args(["-c", "import jsonschema, tomllib"])
            .stderr(Stdio::null())
            .status();
        has.is_ok_and(|status| status.success())
    });
    let Some(python) = python else {
        return skip("no Python with jsonschema (Debian: python3-jsonschema)");
    };
    let file = hall.path("schema.json");
    fs::write(&file, schema.stdout).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut check = Command::new(python);
    check.args(["-c", script]).arg(&file).arg(hall.hall_file());
    for hall in [
        "config/gladsheim.toml",
        "examples/demo/gladsheim.toml",
        "examples/jobs/gladsheim.toml",
        "crates/gladsheim/src/hall/every_key.toml",
    ] {
        check.arg(root.join(hall));
    }
    assert_eq!(lines(check), [""; 0]);
}
