//! What the machine boots into: busybox, the binaries with their libraries, and a script that runs them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;

use super::{Binaries, VERDICT, archive::Archive};
use crate::command;

/// The first process. `%RUNS%` and `%VERDICT%` are filled in.
const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t cgroup2 cgroup2 /sys/fs/cgroup
chmod 1777 /tmp
ip link set lo up
export PATH=/bin HOME=/tmp RUST_BACKTRACE=0
export GLADSHEIM_VM=1 GLADSHEIM_SKIP_REPORT=/tmp/skipped
ulimit -n 65536
code=0
%RUNS%
echo "%VERDICT%$code"
poweroff -f
"#;

const USERS: &str = "root:x:0:0::/tmp:/bin/sh\nthor:x:1000:1000::/tmp:/bin/sh\n\
                     nobody:x:65534:65534::/:/bin/sh\n";
const GROUPS: &str = "root:x:0:\nthor:x:1000:\nnogroup:x:65534:\n";

/// Writes the initramfs.
pub(super) fn write(folder: &Path, busybox: &Path, binaries: &Binaries) -> anyhow::Result<PathBuf> {
    let runs = binaries.runs.iter().map(|(path, _)| path);
    let programs: BTreeSet<_> = runs.chain(&binaries.programs).collect();
    let mut archive = Archive::default();
    for empty in ["/proc", "/sys", "/dev", "/tmp", "/run"] {
        archive.folder(empty)?;
    }
    archive.file("/bin/busybox", &read(busybox)?)?;
    archive.link("/bin/sh", "busybox")?;
    archive.file("/etc/passwd", USERS.as_bytes())?;
    archive.file("/etc/group", GROUPS.as_bytes())?;
    archive.file("/init", init(binaries).as_bytes())?;
    let mut libraries = BTreeSet::new();
    for program in programs {
        archive.file(text(program)?, &stripped(folder, program)?)?;
        let ldd = command::read(Command::new("ldd").arg(program))?;
        libraries.extend(
            ldd.split_ascii_whitespace()
                .filter(|word| word.starts_with('/'))
                .map(str::to_owned),
        );
    }
    for library in libraries {
        archive.file(&library, &read(Path::new(&library))?)?;
    }
    let image = folder.join("initramfs");
    fs::write(&image, archive.finish()?)
        .with_context(|| format!("cannot write {}", image.display()))?;
    Ok(image)
}

fn init(binaries: &Binaries) -> String {
    let run = |(path, arguments): &(PathBuf, String)| {
        let path = path.display();
        format!("echo '     Running {path}'\n{path} {arguments} || code=1")
    };
    let runs: Vec<_> = binaries.runs.iter().map(run).collect();
    INIT.replace("%RUNS%", &runs.join("\n"))
        .replace("%VERDICT%", VERDICT)
}

/// The program without what only a debugger reads: all of it has to be copied into memory.
fn stripped(folder: &Path, program: &Path) -> anyhow::Result<Vec<u8>> {
    let smaller = folder.join("stripped");
    let status = Command::new("strip")
        .arg("-o")
        .arg(&smaller)
        .arg(program)
        .status();
    if status.is_ok_and(|status| status.success()) {
        read(&smaller)
    } else {
        read(program)
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str()
        .with_context(|| format!("{} is not UTF-8", path.display()))
}
