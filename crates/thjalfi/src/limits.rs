//! Resource limits by name, and the daemon's own limit of open files.

use std::{io, sync::OnceLock};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{
    StartOptions,
    error::{SpawnError, Stage},
};

/// Soft limit of open files that services get back, once the daemon has raised its own.
static ORIGINAL: OnceLock<u64> = OnceLock::new();

/// Raises this process's soft limit of open files to its hard limit and returns it.
///
/// Services still start with the limit of before: many programs close, or make room for, as many
/// descriptors as they may have.
///
/// # Errors
///
/// What the system says.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    ORIGINAL.get_or_init(|| soft);
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}

/// Takes [`raise_descriptor_limit`] back, for a program that this process is about to execute and that raises
/// it again.
///
/// # Errors
///
/// What the system says.
pub fn restore_descriptor_limit() -> io::Result<()> {
    if let Some(&soft) = ORIGINAL.get() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard)?;
    }
    Ok(())
}

/// The limits that the child sets, numbered as the kernel does.
pub(crate) fn rlimits(options: &StartOptions) -> Result<Vec<(u32, libc::rlimit64)>, SpawnError> {
    let limits = options.rlimits.iter().map(|(name, value)| {
        let limit = libc::rlimit64 {
            rlim_cur: *value,
            rlim_max: *value,
        };
        match number(name) {
            Some(resource) => Ok((resource, limit)),
            None => Err(SpawnError::invalid(Stage::Rlimit, name, "no such limit")),
        }
    });
    restored_descriptor_limit()?
        .into_iter()
        .map(Ok)
        .chain(limits)
        .collect()
}

fn restored_descriptor_limit() -> Result<Option<(u32, libc::rlimit64)>, SpawnError> {
    let Some(&soft) = ORIGINAL.get() else {
        return Ok(None);
    };
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)
        .map_err(|errno| SpawnError::new(Stage::Rlimit, "nofile".to_owned(), errno.into()))?;
    let limit = libc::rlimit64 {
        rlim_cur: soft,
        rlim_max: hard,
    };
    Ok(Some((Resource::RLIMIT_NOFILE as u32, limit)))
}

fn number(name: &str) -> Option<u32> {
    let resource = match name {
        "as" => Resource::RLIMIT_AS,
        "core" => Resource::RLIMIT_CORE,
        "cpu" => Resource::RLIMIT_CPU,
        "data" => Resource::RLIMIT_DATA,
        "fsize" => Resource::RLIMIT_FSIZE,
        "locks" => Resource::RLIMIT_LOCKS,
        "memlock" => Resource::RLIMIT_MEMLOCK,
        "msgqueue" => Resource::RLIMIT_MSGQUEUE,
        "nice" => Resource::RLIMIT_NICE,
        "nofile" => Resource::RLIMIT_NOFILE,
        "nproc" => Resource::RLIMIT_NPROC,
        "rss" => Resource::RLIMIT_RSS,
        "rtprio" => Resource::RLIMIT_RTPRIO,
        "rttime" => Resource::RLIMIT_RTTIME,
        "sigpending" => Resource::RLIMIT_SIGPENDING,
        "stack" => Resource::RLIMIT_STACK,
        _ => return None,
    };
    Some(resource as u32)
}
