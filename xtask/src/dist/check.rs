//! Whether the programs that will have to do with a package are content with it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};

use super::layout::File;
use crate::command;

/// Unpacks the package below `folder`, installs it into a root of its own there, and has its unit checked.
pub(super) fn check(deb: &Path, files: &[File], folder: &Path) -> anyhow::Result<()> {
    if !is_installed("dpkg-deb") {
        eprintln!("SKIPPED: look into the package: dpkg-deb is not installed (Debian: dpkg)");
        return Ok(());
    }
    let root = folder.join("root");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    let listed = command::read(Command::new("dpkg-deb").arg("--contents").arg(deb))?;
    for file in files {
        let mode = if file.executable {
            "-rwxr-xr-x"
        } else {
            "-rw-r--r--"
        };
        let line = |line: &str| {
            line.starts_with(mode)
                && line.contains("root/root")
                && line.ends_with(&format!(" {}", file.path))
        };
        ensure!(
            listed.lines().any(line),
            "{} is not in the package\n{listed}",
            file.path
        );
    }
    let version = |binary: PathBuf| command::read(Command::new(binary).arg("version"));
    if install(deb, &root)? {
        let said = version(root.join("usr/bin/gladsheim"))?;
        ensure!(said.starts_with("gladsheim "), "{said}");
    } else {
        command::run(Command::new("dpkg-deb").arg("--extract").args([deb, &root]))?;
    }
    verify_unit(&root)
}

/// Installs into `root` with dpkg, as far as that is allowed; returns whether it was.
fn install(deb: &Path, root: &Path) -> anyhow::Result<bool> {
    let own = command::read(Command::new("id").arg("--user"))?;
    if own.trim() != "0" || !is_installed("dpkg") {
        eprintln!("SKIPPED: installation by dpkg: it needs root");
        return Ok(false);
    }
    let state = root.join("var/lib/dpkg");
    for folder in ["info", "updates", "triggers"] {
        fs::create_dir_all(state.join(folder))?;
    }
    for file in ["status", "available"] {
        fs::write(state.join(file), "")?;
    }
    let in_root = |dpkg: &mut Command| {
        dpkg.arg("--root")
            .arg(root)
            .arg("--force-not-root")
            .env("PATH", search_path());
    };
    let mut dpkg = Command::new("dpkg");
    in_root(&mut dpkg);
    command::run(dpkg.arg("--log=/dev/null").arg("--install").arg(deb))?;
    let mut status = Command::new("dpkg");
    in_root(&mut status);
    let status = command::read(status.args(["--status", "gladsheim"]))?;
    ensure!(status.contains("Status: install ok installed"), "{status}");
    Ok(true)
}

/// Has systemd look at the unit, in a copy whose program is where it is after the unpacking.
fn verify_unit(root: &Path) -> anyhow::Result<()> {
    if !is_installed("systemd-analyze") {
        eprintln!("SKIPPED: check of the unit: systemd-analyze is not installed (Debian: systemd)");
        return Ok(());
    }
    let unit = "usr/lib/systemd/system/gladsheim.service";
    let text = fs::read_to_string(root.join(unit))?;
    let program = root.join("usr/bin/gladsheim");
    let program = program.to_str().context("the target folder is no UTF-8")?;
    let copy = root.join("gladsheim.service");
    fs::write(&copy, text.replace("/usr/bin/gladsheim", program))?;
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no"]).arg(&copy);
    let output = verify.output().context("cannot run systemd-analyze")?;
    let said = String::from_utf8_lossy(&output.stderr);
    // It looks at the units of this machine too, which may have their own faults.
    let ours = said.lines().filter(|line| line.contains("gladsheim"));
    let ours: Vec<_> = ours.collect();
    ensure!(
        output.status.success() && ours.is_empty(),
        "{}",
        said.trim_end()
    );
    println!("systemd-analyze verify: nothing to complain about");
    Ok(())
}

/// dpkg wants programs of `/sbin`, which users have not in their path.
fn search_path() -> String {
    let path = env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/sbin:/sbin")
}

fn is_installed(program: &str) -> bool {
    env::split_paths(&search_path()).any(|folder| folder.join(program).is_file())
}
