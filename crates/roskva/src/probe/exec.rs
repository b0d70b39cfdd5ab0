//! Command check: healthy if the command exits with code 0.
//!
//! The command leads a process group of its own. The group is killed while its leader is not yet
//! reaped (so the number is still ours) however the check ends: by exit, so that nothing stays behind
//! of `sleep 10 & exit 1`, or by being dropped at the timeout.

use std::{
    io,
    process::{ExitStatus, Stdio},
};

use nix::{sys::signal, unistd::Pid};
use tokio::{
    net::unix::pipe,
    process::{Child, Command},
};

use crate::probe::{ProbeOutcome, pidfd::PidFd, tail::Tail};

pub(crate) fn validate(command: &[String]) -> Result<(), String> {
    match command.first() {
        Some(program) if !program.is_empty() => Ok(()),
        Some(_) | None => Err("the command is empty: expected program and arguments".to_owned()),
    }
}

pub(crate) async fn check(command: &[String]) -> ProbeOutcome {
    let Some((program, arguments)) = command.split_first() else {
        return ProbeOutcome::Unhealthy("the command is empty".to_owned());
    };
    let mut tail = Tail::default();
    let verdict = match run(program, arguments, &mut tail).await {
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
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let mut group = Group { child };
    let output = pipe::Receiver::from_owned_fd(reader.into())?;
    let ended = PidFd::open(group.child.id().unwrap_or(0))?;
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
    group.kill();
    read(&output, tail)?;
    group.child.wait().await
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

/// Owner of the command's process group. Dropping it kills the whole group; tokio reaps the leader.
struct Group {
    child: Child,
}

impl Group {
    fn kill(&self) {
        // `id` is `None` once the child is reaped: from then on the number may be somebody else's.
        let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) else {
            return;
        };
        if let Err(error) = signal::killpg(Pid::from_raw(pid), signal::Signal::SIGKILL) {
            tracing::warn!(pid, %error, "a check's process group could not be killed");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
