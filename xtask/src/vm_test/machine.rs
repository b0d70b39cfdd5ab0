//! The virtual machine: its parts on this host, and a run of it.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use crate::command;

const QEMU: &str = "qemu-system-x86_64";
/// Debian's smallest kernel for virtual machines; depends on the package that has it.
const KERNEL_PACKAGE: &str = "linux-image-cloud-amd64";
/// On a tmpfs, a program's own pages would count as shared memory of its service.
const KERNEL_ARGUMENTS: &str = "console=ttyS0 quiet loglevel=1 panic=-1 psi=1 rootfstype=ramfs";
/// Longer than this, the machine is stuck. Under software emulation on an idle host it takes a tenth of it.
const DEADLINE: Duration = Duration::from_secs(600);

/// What it takes.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) busybox: PathBuf,
    kernel: PathBuf,
}

impl Machine {
    /// Looks for the parts on this host, and gets Debian's kernel if there is none yet in `folder`.
    ///
    /// # Errors
    ///
    /// What is missing, and how to get it.
    pub(super) fn find(folder: &Path) -> anyhow::Result<Self> {
        if env::consts::ARCH != "x86_64" {
            bail!("the machine is an x86_64, this host is not");
        }
        in_path(QEMU).with_context(|| format!("no {QEMU}: apt-get install qemu-system-x86"))?;
        let busybox = in_path("busybox")
            .filter(|path| is_static(path))
            .context("no static busybox: apt-get install busybox-static")?;
        Ok(Self {
            busybox,
            kernel: kernel(folder)?,
        })
    }

    /// Runs it to its end, and returns what it said; its lines are shown as they come.
    ///
    /// # Errors
    ///
    /// It cannot be started, or is stuck; it is killed then.
    pub(super) fn boot(&self, image: &Path) -> anyhow::Result<String> {
        let mut qemu = Command::new(QEMU);
        // Always software emulation: what a host's own virtualisation offers differs from host to host.
        qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max"])
            .args(["-smp", "2", "-m", "1024", "-nodefaults", "-no-user-config"])
            .args(["-display", "none", "-serial", "stdio", "-no-reboot"])
            .args(["-append", KERNEL_ARGUMENTS])
            .arg("-kernel")
            .arg(&self.kernel)
            .arg("-initrd")
            .arg(image);
        eprintln!("$ {QEMU} -kernel {} …", self.kernel.display());
        let child = qemu
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {QEMU}"))?;
        watch(KillOnDrop(child))
    }
}

/// Reads the serial line to its end.
fn watch(mut qemu: KillOnDrop) -> anyhow::Result<String> {
    let output = qemu.0.stdout.take().context("its output is piped")?;
    let (sender, lines) = mpsc::channel();
    // Ends with the machine, whose output it reads.
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let deadline = Instant::now() + DEADLINE;
    let mut report = String::new();
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                let line = String::from_utf8_lossy(&line);
                println!("{}", line.trim_end());
                report.push_str(line.trim_end());
                report.push('\n');
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(report),
            Err(RecvTimeoutError::Timeout) => {
                bail!("the virtual machine was still busy after {DEADLINE:?}")
            }
        }
    }
}

/// A machine that nobody waits for any more is turned off.
struct KillOnDrop(Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        // Both fail only if it has ended and was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// The dynamic loader is not in the image for the sake of busybox.
fn is_static(program: &Path) -> bool {
    Command::new("ldd")
        .arg(program)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| !status.success())
}

/// The kernel in `folder`; downloaded if there is none.
fn kernel(folder: &Path) -> anyhow::Result<PathBuf> {
    let kernel = folder.join("vmlinuz");
    if kernel.exists() {
        return Ok(kernel);
    }
    let unpacked = folder.join("unpacked");
    fs::create_dir_all(&unpacked).with_context(|| format!("cannot make {}", unpacked.display()))?;
    let get = || {
        let depends = command::read(Command::new("apt-cache").args(["depends", KERNEL_PACKAGE]))?;
        let package = depends
            .split_ascii_whitespace()
            .find(|word| word.starts_with("linux-image-") && *word != KERNEL_PACKAGE)
            .context("it depends on no kernel")?;
        let mut download = Command::new("apt-get");
        command::read(
            download
                .args(["-q", "download", package])
                .current_dir(&unpacked),
        )?;
        let archive = find(&unpacked, ".deb")?;
        command::run(
            Command::new("dpkg-deb")
                .arg("-x")
                .arg(archive)
                .arg(&unpacked),
        )?;
        let found = find(&unpacked.join("boot"), "")?;
        fs::rename(found, &kernel)?;
        anyhow::Ok(())
    };
    let got = get().with_context(|| format!("no kernel from Debian's {KERNEL_PACKAGE}"));
    fs::remove_dir_all(&unpacked)?;
    got.map(|()| kernel)
}

/// The kernel or the package that has it.
fn find(folder: &Path, ending: &str) -> anyhow::Result<PathBuf> {
    let names = if ending.is_empty() {
        "vmlinuz-"
    } else {
        "linux-image-"
    };
    fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(names) && name.ends_with(ending)
        })
        .with_context(|| format!("no {names}* in {}", folder.display()))
}
