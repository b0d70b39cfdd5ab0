//! Processes of known memory and CPU: this program itself, started again.

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use nix::{
    time::{clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};

/// Names what a process that was started by this one does.
const ROLE: &str = "BYGGVIR_BURDEN";
/// What `memory` takes.
pub(crate) const SIZE: usize = 64 << 20;

/// Plays the role that the environment names, and returns whether there was one.
pub(crate) fn play() -> bool {
    let Ok(role) = env::var(ROLE) else {
        return false;
    };
    // What it waits for may also be the end of its parent.
    let next_line = || io::stdin().lines().next();
    next_line();
    // Ones, because pages of zeros need not exist.
    let memory = vec![1u8; if role == "memory" { SIZE } else { 0 }];
    println!("ready");
    if role == "busy" {
        std::thread::spawn(|| {
            loop {
                std::hint::spin_loop();
            }
        });
    }
    next_line();
    drop(std::hint::black_box(memory));
    true
}

/// One of them, until it is dropped.
pub(crate) struct Burden {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Burden {
    /// Starts one, which waits to be told to go on.
    pub(crate) fn start(role: &str) -> io::Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self {
            input: child.stdin.take(),
            child,
            output: BufReader::new(output),
        })
    }

    /// Lets it take its memory or begin to work; returns when it has.
    pub(crate) fn go(&mut self) -> io::Result<()> {
        if let Some(input) = &mut self.input {
            writeln!(input)?;
        }
        self.output.read_line(&mut String::new()).map(drop)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU time by the process's own clock.
    pub(crate) fn clock(&self) -> io::Result<Duration> {
        let clock = clock_getcpuclockid(Pid::from_raw(self.pid() as i32))?;
        Ok(clock_gettime(clock)?.into())
    }

    /// The kernel's own sum over its pages, in bytes.
    pub(crate) fn pages(&self, key: &str) -> io::Result<u64> {
        pages(&self.pid().to_string(), key)
    }
}

/// A sum over the pages of a process, in bytes: `Rss:` or `Anonymous:`.
pub(crate) fn pages(process: &str, key: &str) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(key));
    let kib = value.and_then(|value| value.trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.map(|kib| kib * 1024)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

impl Drop for Burden {
    fn drop(&mut self) {
        drop(self.input.take());
        // It has been told to end; a busy one ends with its main thread.
        let _ = self.child.wait();
    }
}
