//! The physical floor: the same processes, spawned and reaped by a bare loop.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use gladsheim_tests::bin;

use crate::stopwatch::Rounds;

/// Processes of ours; dropping kills and reaps them.
#[derive(Debug, Default)]
struct Processes(Vec<Child>);

impl Processes {
    fn spawn(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(bin("svc-pausing"));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.0.push(command.spawn()?);
        Ok(())
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // It has ended already if this fails.
            let _ = child.kill();
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}

/// How long it takes to spawn so many, one after another.
pub(crate) fn bring_up(count: usize) -> anyhow::Result<Duration> {
    let mut processes = Processes::default();
    let began = Instant::now();
    for _ in 0..count {
        processes.spawn()?;
    }
    Ok(began.elapsed())
}

/// How long it takes to kill and reap so many that run.
pub(crate) fn stop(count: usize) -> anyhow::Result<Duration> {
    let mut processes = Processes::default();
    for _ in 0..count {
        processes.spawn()?;
    }
    let began = Instant::now();
    drop(processes);
    Ok(began.elapsed())
}

/// From the kill of one to the new one, `count` times.
pub(crate) fn replace(count: usize) -> anyhow::Result<Rounds> {
    let mut rounds = Rounds::default();
    let mut processes = Processes::default();
    processes.spawn()?;
    for _ in 0..count {
        let began = Instant::now();
        drop(std::mem::take(&mut processes));
        processes.spawn()?;
        rounds.push(began);
    }
    Ok(rounds)
}
