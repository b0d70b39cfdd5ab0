//! `cargo xtask test --session`: the black-box tests as a user without privileges meets Gladsheim.
//!
//! Services are contained by sessions instead of cgroups. Where we are root, the tests run as
//! `nobody`, from a folder that this user can read.

use std::{
    env, fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;
use serde::Deserialize;

use crate::command::{self, cargo};

/// User and group `nobody`, by convention.
const NOBODY: u32 = 65534;
/// How the tests learn of the containment.
const CONTAINMENT: &str = "GLADSHEIM_TEST_CONTAINMENT";

/// A line of cargo's own messages, as far as it names a program.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
}

/// Builds the tests, and runs those whose names contain one of the filters.
pub(crate) fn run(filters: &[String]) -> anyhow::Result<()> {
    let folder = env::temp_dir().join(format!("gladsheim-session-{}", std::process::id()));
    fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let outcome = run_in(&folder, filters);
    fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    outcome
}

fn run_in(folder: &Path, filters: &[String]) -> anyhow::Result<()> {
    let test = copy_programs(folder)?;
    // The path of a unix socket in it must not become too long.
    let halls = folder.join("t");
    fs::create_dir(&halls)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    let mut tests = Command::new(test);
    tests
        .args(filters)
        .current_dir(&halls)
        .env("TMPDIR", &halls)
        .env(CONTAINMENT, "session");
    if fs::metadata(&halls)?.uid() == 0 {
        chown(&halls, Some(NOBODY), Some(NOBODY))?;
        tests.uid(NOBODY).gid(NOBODY);
    }
    command::run(&mut tests)
}

/// Puts the tests and the programs that they start into one folder; returns the tests.
fn copy_programs(folder: &Path) -> anyhow::Result<PathBuf> {
    let messages = command::read(&mut cargo([
        "test",
        "--no-run",
        "--package=gladsheim-tests",
        "--test=blackbox",
        "--message-format=json",
    ]))?;
    let mut test = None;
    for line in messages.lines() {
        let message: Message = serde_json::from_str(line).context("not a message of cargo")?;
        let Some(program) = message.executable else {
            continue;
        };
        let name = program.file_name().context("a program without a name")?;
        let copy = folder.join(name);
        fs::copy(&program, &copy).with_context(|| format!("cannot copy {}", program.display()))?;
        if program
            .parent()
            .is_some_and(|folder| folder.ends_with("deps"))
        {
            test = Some(copy);
        }
    }
    test.context("cargo has built no test")
}
