//! Command check: healthy if the command exits with code 0.
//!
//! The owner's [`CommandRunner`] runs it. Without one it runs here, as described below.
//!
//! The command leads a process group of its own. However the check ends, by the command's exit or by
//! being dropped at the timeout, the whole group is killed while its leader is not yet reaped (so its
//! number is still ours), and then reaped whole: where this process is a subreaper, what the command
//! left behind (`sleep 10 & exit 1`) has become our child.

use std::{
    io,
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Command, ExitStatus, Stdio},
    thread,
};

use nix::{
    errno::Errno,
    sys::{
        signal::{self, Signal},
        wait::{WaitStatus, waitpid},
    },
    unistd::Pid,
};
use tokio::{net::unix::pipe, sync::oneshot};

use crate::{
    CommandRunner,
    probe::{
        ProbeOutcome,
        pidfd::PidFd,
        tail::{Tail, short_line},
    },
};

pub(crate) fn validate(command: &[String]) -> Result<(), String> {
    match command.first() {
        Some(program) if !program.is_empty() => Ok(()),
        Some(_) | None => Err("the command is empty: expected program and arguments".to_owned()),
    }
}

/// Runs the command where `runner` runs it, or else itself.
pub(crate) async fn check(
    service_name: &str,
    command: &[String],
    runner: Option<&dyn CommandRunner>,
) -> ProbeOutcome {
    let Some((program, arguments)) = command.split_first() else {
        return ProbeOutcome::Unhealthy("the command is empty".to_owned());
    };
    let mut tail = Tail::default();
    let ended = match runner {
        Some(runner) => match runner.run(service_name, command).await {
            Ok(end) => {
                tail.push(&end.output);
                Ok(end.status)
            }
            Err(error) => return ProbeOutcome::Unhealthy(short_line(&error.to_string())),
        },
        None => run(program, arguments, &mut tail).await,
    };
    let verdict = match ended {
        Ok(status) if status.success() => return ProbeOutcome::Healthy(tail.last_line()),
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    let line = tail.last_line();
    let separator = if line.is_empty() { "" } else { ": " };
    ProbeOutcome::Unhealthy(format!("{program}: {verdict}{separator}{line}"))
}

async fn run(program: &str, arguments: &[String], tail: &mut Tail) -> io::Result<ExitStatus> {
    let (reader, writer) = io::pipe()?;
    let output = pipe::Receiver::from_owned_fd(reader.into())?;
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0)
        .spawn()?;
    let pid = child.id();
    let mut group = Group {
        leader: i32::try_from(pid).ok().map(Pid::from_raw),
    };
    let ended = PidFd::open(pid)?;
    let mut open = true;
    loop {
        tokio::select! {
            readable = output.readable(), if open => {
                readable?;
                open = read(&output, tail)?;
            }
            ended = ended.ended() => {
                ended?;
                break;
            }
        }
    }
    let status = group.end();
    read(&output, tail)?;
    status.await.map_err(io::Error::other)?
}

/// Reads what is there, within reason; false at the end of the output.
fn read(output: &pipe::Receiver, tail: &mut Tail) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    for _ in 0..64 {
        match output.try_read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(count) => tail.push(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Owner of the command's process group. Dropping it kills and reaps the whole group.
struct Group {
    /// `None` once the group has been given to its reaper.
    leader: Option<Pid>,
}

impl Group {
    /// Kills the group; the leader's status follows when all of it is reaped.
    fn end(&mut self) -> oneshot::Receiver<io::Result<ExitStatus>> {
        let (sender, receiver) = oneshot::channel();
        if let Some(leader) = self.leader.take() {
            if let Err(error) = signal::killpg(leader, Signal::SIGKILL) {
                tracing::warn!(%leader, %error, "a check's process group could not be killed");
            }
            // A thread of its own, for some milliseconds: a process that not even SIGKILL ends at once
            // must hold up neither a check nor the end of the runtime.
            let reaper = thread::Builder::new().name("roskva-reaper".to_owned());
            let reaping = reaper.spawn(move || {
                drop(sender.send(reap(leader))); // at a timeout nobody waits for the status
            });
            if let Err(error) = reaping {
                tracing::warn!(%leader, %error, "a check's process group could not be reaped");
            }
        }
        receiver
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        drop(self.end());
    }
}

/// Reaps all children in the leader's group, and those that become children while it waits.
fn reap(leader: Pid) -> io::Result<ExitStatus> {
    let group = Pid::from_raw(-leader.as_raw());
    let mut status = None;
    loop {
        match waitpid(group, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == leader => {
                status = Some(ExitStatus::from_raw(code << 8));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == leader => {
                status = Some(ExitStatus::from_raw(signal as i32));
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) => {
                return status
                    .ok_or_else(|| io::Error::other("somebody else took its exit status"));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CommandEnd, restart::MockCommandRunner};

    #[tokio::test]
    async fn the_owners_runner_runs_the_command_where_there_is_one() {
        let command = ["check".to_owned(), "-v".to_owned()];
        let end = |code: i32, output: &str| {
            Ok(CommandEnd {
                status: ExitStatus::from_raw(code << 8),
                output: output.into(),
            })
        };
        for (ended, outcome) in [
            (end(0, "a\nfine\n"), ProbeOutcome::Healthy("fine".into())),
            (
                end(3, "sick\n"),
                ProbeOutcome::Unhealthy("check: exit status: 3: sick".into()),
            ),
            (
                Err("thor: exec check: not found".into()),
                ProbeOutcome::Unhealthy("thor: exec check: not found".into()),
            ),
        ] {
            let mut runner = MockCommandRunner::new();
            runner
                .expect_run()
                .withf(|name, command| name == "thor" && command == ["check", "-v"])
                .return_once(|_, _| ended);
            assert_eq!(check("thor", &command, Some(&runner)).await, outcome);
        }
    }
}
