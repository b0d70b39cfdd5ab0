//! The way to a daemon on the network.

use std::{
    env,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use gladsheim_proto::TlsOptions;

use crate::cli::{Global, Remote};

/// What is wrong with what was said about a daemon on the network.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    #[error("with --address, {option} FILE or {variable} is needed: the daemon asks who we are")]
    Incomplete {
        option: &'static str,
        variable: &'static str,
    },
    #[error(
        "--address means a daemon on the network, --socket and --hall one of this machine: name one of them"
    )]
    Both,
    #[error("this command is about a hall of this machine: leave --address away")]
    NotHere,
    #[error("cannot read {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
}

/// Refuses `--address` for what is about this machine. A variable is no such mistake.
pub(super) fn refuse(global: &Global) -> Result<(), RemoteError> {
    match global.remote.address {
        Some(_) => Err(RemoteError::NotHere),
        None => Ok(()),
    }
}

/// The daemon on the network that is meant; `None` if it is one of this machine.
pub(super) fn locate(global: &Global) -> Result<Option<TlsOptions>, RemoteError> {
    let here = global.socket.is_some() || global.hall.is_some();
    let Remote {
        address,
        tls_ca,
        tls_cert,
        tls_key,
        tls_name,
    } = global.remote.clone();
    let address = match address {
        Some(_) if here => return Err(RemoteError::Both),
        Some(address) => address,
        None if here => return Ok(None),
        None => match text("GLADSHEIM_ADDRESS") {
            Some(address) => address,
            None => return Ok(None),
        },
    };
    Ok(Some(TlsOptions {
        address,
        server_name: tls_name.or_else(|| text("GLADSHEIM_TLS_NAME")),
        authority: read(tls_ca, "--tls-ca", "GLADSHEIM_TLS_CA")?,
        certificate: read(tls_cert, "--tls-cert", "GLADSHEIM_TLS_CERT")?,
        key: read(tls_key, "--tls-key", "GLADSHEIM_TLS_KEY")?,
    }))
}

fn read(
    named: Option<PathBuf>,
    option: &'static str,
    variable: &'static str,
) -> Result<Vec<u8>, RemoteError> {
    let path = named.or_else(|| filled(variable).map(PathBuf::from));
    let path = path.ok_or(RemoteError::Incomplete { option, variable })?;
    read_file(&path)
}

fn read_file(path: &Path) -> Result<Vec<u8>, RemoteError> {
    fs::read(path).map_err(|source| RemoteError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

fn text(variable: &str) -> Option<String> {
    filled(variable)?.into_string().ok()
}

fn filled(variable: &str) -> Option<OsString> {
    env::var_os(variable).filter(|value| !value.is_empty())
}
