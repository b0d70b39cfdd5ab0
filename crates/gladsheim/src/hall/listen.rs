//! `[listen]`: the daemon on the network, for holders of a certificate only.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::reader::Field;

/// Where the daemon also listens, and by which files it and its callers prove who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Address and port.
    pub tcp: SocketAddr,
    /// PEM: the daemon's certificate, and those between it and the authority.
    pub certificate: PathBuf,
    /// PEM: the private key of the certificate.
    pub key: PathBuf,
    /// PEM: the authorities that sign callers' certificates.
    pub client_ca: PathBuf,
}

/// `None` if the section is absent or wrong.
pub(super) fn read(field: Field<'_>, folder: &Path) -> Option<Listen> {
    let mut table = field.table("[listen]")?;
    let tcp = table
        .required("tcp")
        .text()
        .then(|text| {
            text.parse().map_err(|_| {
                format!("expected an address and a port such as \"127.0.0.1:7443\", found {text:?}")
            })
        })
        .then(|address: SocketAddr| match address.port() {
            0 => Err("the port must not be 0: nobody would know which one it is".to_owned()),
            _ => Ok(address),
        })
        .optional();
    let mut file = |key: &'static str, what: &str| {
        let field = table.field(key);
        if !field.is_set() {
            table.error(format!(
                "[listen] has no `{key}`, {what}: TCP is served with mutual TLS only"
            ));
        }
        field.filled().map(|text| folder.join(text)).optional()
    };
    let certificate = file("certificate", "the file with the daemon's certificate");
    let key = file("key", "the file with its private key");
    let client_ca = file("client_ca", "the file with the authority of callers");
    Some(Listen {
        tcp: tcp?,
        certificate: certificate?,
        key: key?,
        client_ca: client_ca?,
    })
}
