//! Child processes of known memory and CPU.
//!
//! They are this test binary itself, started again with `BYGGVIR_BURDEN` set: see [`role`].

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Read, Write},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use byggvir::ProcessTree;
use nix::{
    time::{clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};

pub(crate) const MIB: u64 = 1 << 20;

/// What the child processes run. Takes a role only if asked to; without one, there is nothing here.
#[test]
fn role() {
    let Ok(role) = env::var("BYGGVIR_BURDEN") else {
        return;
    };
    let ready = || println!("\nburden ready");
    let wait_for_line = || io::stdin().lines().next();
    // Until it is where it belongs: its own children are to be born there.
    wait_for_line();
    match role.as_str() {
        "memory" => {
            // Ones, because pages of zeros need not exist.
            let memory = vec![1u8; (64 * MIB) as usize];
            ready();
            wait_for_line();
            drop(memory);
        }
        "family" => {
            let mut child = Burden::start("memory", None);
            ready();
            wait_for_line();
            child.end();
        }
        // Works for as long as the parent wants, in a child that it then reaps.
        "worker" => {
            let mut child = Burden::start("busy", None);
            ready();
            wait_for_line();
            child.end();
            println!("\nburden reaped");
            wait_for_line();
        }
        "busy" => {
            ready();
            std::thread::spawn(|| {
                loop {
                    std::hint::spin_loop();
                }
            });
            wait_for_line();
        }
        other => panic!("no such burden: {other}"),
    }
}

/// A child process that bears a burden until it is dropped.
pub(crate) struct Burden {
    child: Child,
    pub(crate) input: Option<ChildStdin>,
    pub(crate) output: BufReader<ChildStdout>,
    cgroup: Option<PathBuf>,
}

impl Burden {
    /// Starts one and waits until it says that it is ready. In a cgroup, if that is given.
    pub(crate) fn start(role: &str, cgroup: Option<PathBuf>) -> Self {
        let mut child = Command::new(env::current_exe().expect("is known"))
            .args(["--exact", "burden::role", "--nocapture"])
            .env("BYGGVIR_BURDEN", role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("is spawned");
        if let Some(folder) = &cgroup {
            let procs = folder.join("cgroup.procs");
            fs::write(procs, child.id().to_string()).expect("is moved");
        }
        let output = BufReader::new(child.stdout.take().expect("is piped"));
        let input = child.stdin.take();
        let mut burden = Self {
            child,
            input,
            output,
            cgroup,
        };
        burden.go_on();
        burden.wait_for("burden ready");
        burden
    }

    /// Lets it take its next step.
    pub(crate) fn go_on(&mut self) {
        writeln!(self.input.as_mut().expect("is open")).expect("is told");
    }

    pub(crate) fn wait_for(&mut self, line: &str) {
        let mut lines = (&mut self.output).lines();
        let found = lines.any(|read| read.expect("is text") == line);
        assert!(found, "the child ended before it said: {line}");
    }

    pub(crate) fn tree(&self) -> ProcessTree {
        ProcessTree {
            pid: self.child.id(),
            cgroup: self.cgroup.clone(),
        }
    }

    /// CPU time of the process by its own clock, at nanoseconds.
    pub(crate) fn clock(&self) -> Duration {
        let clock = clock_getcpuclockid(Pid::from_raw(self.child.id() as i32)).expect("lives");
        clock_gettime(clock).expect("is read").into()
    }

    /// The kernel's own sums over the pages of the process, in bytes: resident, anonymous.
    pub(crate) fn pages(&self) -> (u64, u64) {
        let path = format!("/proc/{}/smaps_rollup", self.child.id());
        let text = fs::read_to_string(path).expect("is read");
        let bytes = |key: &str| -> u64 {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(key))
                .expect("is there");
            line.trim_end_matches("kB")
                .trim()
                .parse::<u64>()
                .expect("is a number")
                * 1024
        };
        (bytes("Rss:"), bytes("Anonymous:"))
    }

    pub(crate) fn end(&mut self) {
        drop(self.input.take());
        self.child.wait().expect("is reaped");
    }
}

impl Drop for Burden {
    fn drop(&mut self) {
        // All of them end when their standard input does; a busy one is helped along.
        drop(self.input.take());
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            // It may have ended in this very moment.
            let _ = self.output.read_to_end(&mut Vec::new());
            let _ = self.child.wait();
        }
    }
}
