//! `init`, `import`, the example of jobs, and names as patterns.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use gladsheim_tests::{TestDaemon, bin, service, skip};

/// All files below a folder, or of it, whose path `wanted` holds of.
fn files(folder: &Path, wanted: &impl Fn(&Path) -> bool, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        match path.is_dir() && !path.is_symlink() {
            true => files(&path, wanted, found),
            false if wanted(&path) => found.push(path),
            false => {}
        }
    }
}

/// Where `.ci/run` has unpacked packages of Debian, below the target folder.
fn debian() -> Option<PathBuf> {
    let test = env::current_exe().unwrap();
    let found = test
        .ancestors()
        .map(|folder| folder.join("debian"))
        .find(|folder| folder.is_dir());
    if found.is_none() {
        skip("no unpacked packages of Debian (.ci/run downloads them)");
    }
    found
}

/// Imports a file of somebody else's, and checks the hall file that comes of it.
#[track_caller]
fn imports(hall: &TestDaemon, file: &Path) {
    let target = hall.path("imported.toml");
    let target = target.to_str().unwrap();
    let file = file.to_str().unwrap();
    hall.cli(["import", file, "--hall", target]).expect_code(0);
    hall.cli(["check", "--hall", target]).expect_code(0);
    fs::remove_file(target).unwrap();
}

#[test]
fn units_of_debian_s_packages_become_halls() {
    let Some(debian) = debian() else { return };
    let hall = TestDaemon::prepare("");
    let is_unit = |path: &Path| {
        path.to_string_lossy().contains("/systemd/system/")
            && path.extension().is_some_and(|end| end == "service")
    };
    let mut units = Vec::new();
    files(&debian, &is_unit, &mut units);
    units.retain(|unit| fs::read_to_string(unit).is_ok_and(|text| text.contains("ExecStart=")));
    assert!(units.len() >= 15, "{units:?}");
    for unit in &units {
        imports(&hall, unit);
    }
}

#[test]
fn supervisord_s_own_fixtures_become_halls() {
    let Some(debian) = debian() else { return };
    let hall = TestDaemon::prepare("");
    let has_program = |path: &Path| {
        let is_conf = path.to_string_lossy().contains("supervisor")
            && path.extension().is_some_and(|end| end == "conf");
        is_conf
            && fs::read_to_string(path)
                .is_ok_and(|text| text.lines().any(|line| line.starts_with("[program:")))
    };
    let mut fixtures = Vec::new();
    files(&debian, &has_program, &mut fixtures);
    assert!(fixtures.len() >= 10, "{fixtures:?}");
    for fixture in &fixtures {
        imports(&hall, fixture);
    }
}

#[test]
fn foreman_s_example_becomes_a_hall() {
    let Some(debian) = debian() else { return };
    let mut found = Vec::new();
    files(
        &debian,
        &|path: &Path| path.ends_with("example/Procfile"),
        &mut found,
    );
    imports(
        &TestDaemon::prepare(""),
        found.first().expect("ruby-foreman has one"),
    );
}

#[test]
fn an_imported_procfile_runs() {
    let mut hall = TestDaemon::prepare("");
    let obedient = bin("svc-obedient");
    let procfile = format!(
        "web: {}\nsay: echo \"on $PORT\" && exec sleep 1000\n",
        obedient.display()
    );
    fs::write(hall.path("Procfile"), procfile).unwrap();
    let text = hall.cli([
        "import",
        hall.path("Procfile").to_str().unwrap(),
        "--hall",
        hall.hall_file().to_str().unwrap(),
        "--stdout",
    ]);
    hall.write_hall(&text.expect_code(0).stdout);
    hall.spawn();
    hall.wait_for_state("web", "running");
    hall.wait_for_state("say", "running");
    let said = gladsheim_tests::wait_until("a line", || {
        let lines = hall.cli(["logs", "say"]).expect_code(0).stdout;
        (!lines.is_empty()).then_some(lines)
    });
    assert_eq!(said, "on 5100\n");
}

#[test]
fn a_first_hall_file_starts_and_is_never_overwritten() {
    let hall = TestDaemon::prepare("");
    let file = hall.path("first.toml");
    let file = file.to_str().unwrap();
    let obedient = bin("svc-obedient");
    let written = hall
        .cli([
            "init",
            "--hall",
            file,
            "--name",
            "thor",
            "--restart",
            "always",
            "--env",
            "A=b c",
            "--format",
            "json",
            "--",
            obedient.to_str().unwrap(),
            "--x",
        ])
        .expect_code(0);
    assert_eq!(written.json()["services"][0], "thor");
    let before = fs::read_to_string(file).unwrap();
    assert!(
        before.contains("policy = \"always\"") && before.contains("env = { A = \"b c\" }"),
        "{before}"
    );
    hall.cli(["check", "--hall", file]).expect_code(0);

    let refused = hall.cli(["init", "--hall", file]).expect_code(2);
    assert!(refused.stderr.contains("--stdout"), "{refused:#?}");
    fs::write(hall.path("Procfile"), "web: true\n").unwrap();
    let procfile = hall.path("Procfile");
    let refused = hall
        .cli(["import", procfile.to_str().unwrap(), "--hall", file])
        .expect_code(2);
    assert!(refused.stderr.contains("--stdout"), "{refused:#?}");
    assert_eq!(fs::read_to_string(file).unwrap(), before, "nothing is lost");
}

#[test]
fn without_flags_and_terminal_the_first_hall_file_is_an_example() {
    let hall = TestDaemon::prepare("");
    let file = hall.path("first.toml");
    let file = file.to_str().unwrap();
    hall.cli(["init", "--hall", file]).expect_code(0);
    let check = hall
        .cli(["check", "--hall", file, "--format", "json"])
        .expect_code(0);
    assert_eq!(check.json()["services"], serde_json::json!([]));
    // What it says as comments is a hall file too.
    let text = fs::read_to_string(file).unwrap();
    let example = text.split_once(":\n#\n").expect("has an example").1;
    let example: String = example
        .lines()
        .map(|line| line.trim_start_matches('#').to_owned() + "\n")
        .collect();
    fs::write(file, example).unwrap();
    let check = hall
        .cli(["check", "--hall", file, "--format", "json"])
        .expect_code(0);
    assert_eq!(
        check.json()["services"],
        serde_json::json!(["web", "migrate"])
    );
}

#[test]
fn jobs_run_in_their_order() {
    let example = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../examples/jobs/gladsheim.toml"
    );
    let hall = TestDaemon::start(&fs::read_to_string(example).unwrap());
    hall.wait_for_state("site", "running");
    hall.cli(["wait", "count", "--for", "exited"])
        .expect_code(0);
    let said = gladsheim_tests::wait_until("a line", || {
        let lines = hall.cli(["logs", "count"]).expect_code(0).stdout;
        (!lines.is_empty()).then_some(lines)
    });
    assert_eq!(said, "counted to 3\n");
}

#[test]
fn a_pattern_stands_for_the_services_that_match() {
    let file = ["web-a", "web-b", "db"].map(|name| service(name, "svc-obedient", &[]));
    let hall = TestDaemon::start(&file.concat());
    for name in ["web-a", "web-b", "db"] {
        hall.wait_for_state(name, "running");
    }
    let names = |arguments: &[&str]| -> Vec<String> {
        let list = hall
            .cli(["--format", "json"].iter().chain(arguments).copied())
            .expect_code(0)
            .json();
        let names = list.as_array().unwrap().iter();
        names
            .map(|one| one["service_name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&["status", "web-*"]), ["web-a", "web-b"]);
    assert_eq!(names(&["status", "d?", "*a"]), ["db", "web-a"]);
    assert_eq!(names(&["stop", "web-*", "web-a"]), ["web-a", "web-b"]);
    hall.wait_for_state("web-b", "stopped");
    assert_eq!(hall.status("db")["state"], "running");
    assert_eq!(names(&["start", "web-[ab]"]), ["web-a", "web-b"]);
    hall.cli(["signal", "web-*", "USR1"]).expect_code(0);
    let none = hall.cli(["stop", "mail-*"]).expect_code(4);
    assert!(
        none.stderr.contains("no service matches \"mail-*\""),
        "{none:#?}"
    );
    hall.cli(["stop", "web-["]).expect_code(2);
}
