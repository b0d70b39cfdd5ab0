//! Tells the daemon's own supervisor how it is doing (the `sd_notify` protocol).

use std::{
    env, io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

use nix::time::{ClockId, clock_gettime};

/// Where the supervisor listens, if it wants to know.
#[derive(Debug)]
pub(super) struct Notifier {
    target: Option<SocketAddr>,
}

impl Notifier {
    /// As `NOTIFY_SOCKET` says: a path, or `@` and an abstract name.
    pub(super) fn from_env() -> Self {
        let name = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let target = name.and_then(|name| match address(name.as_bytes()) {
            Ok(target) => Some(target),
            Err(error) => {
                tracing::warn!(socket = ?name, %error, "NOTIFY_SOCKET cannot be used");
                None
            }
        });
        Self { target }
    }

    /// Tells that this process executes its program anew, and will be ready again.
    pub(super) fn reloading(&self) {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC);
        let micros = now.map_or(0, |now| {
            i128::from(now.tv_sec()) * 1_000_000 + i128::from(now.tv_nsec()) / 1000
        });
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// Sends `state`, for example `READY=1`. Never waits; a failure is logged only.
    pub(super) fn send(&self, state: &str) {
        let Some(target) = &self.target else { return };
        if let Err(error) = send(target, state) {
            tracing::warn!(state, %error, "the daemon's own supervisor could not be told");
        }
    }
}

fn address(name: &[u8]) -> io::Result<SocketAddr> {
    match name {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "neither an absolute path nor an abstract name",
        )),
    }
}

fn send(target: &SocketAddr, state: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(state.as_bytes(), target)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supervisor_hears_of_it_at_a_path_and_at_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let unique = format!("@{}", path.display());
        for name in [path.as_os_str().as_bytes(), unique.as_bytes()] {
            let target = address(name).unwrap();
            let supervisor = UnixDatagram::bind_addr(&target).unwrap();
            Notifier {
                target: Some(target),
            }
            .send("READY=1");
            let mut heard = [0; 16];
            let length = supervisor.recv(&mut heard).unwrap();
            assert_eq!(&heard[..length], b"READY=1");
        }
        address(b"vsock:2:1234").unwrap_err();
    }
}
