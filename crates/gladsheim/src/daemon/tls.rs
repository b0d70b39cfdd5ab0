//! The daemon's door to the network: TLS 1.3 in which both sides show a certificate.
//!
//! The files are looked at whenever somebody connects, and read again once they have changed: whoever renews a
//! certificate has nothing else to do. While they cannot be used, the ones read last go on to serve.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{Error as PemError, PemObject as _},
        },
        server::{VerifierBuilderError, WebPkiClientVerifier},
        version::TLS13,
    },
    server::TlsStream,
};
use x509_cert::{
    Certificate,
    der::{Decode as _, asn1::ObjectIdentifier},
    ext::pkix::{SubjectAltName, name::GeneralName},
};

use super::peer::Certified;
use crate::hall::Listen;

/// So many bytes of a caller who is turned away are waited for.
const FAREWELL: u64 = 64 * 1024;

/// `id-at-commonName`.
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// Why there is no door, or its files cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("cannot listen at {address}: {source}; name another address with `tcp` in `[listen]`")]
    Bind {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("`{key}` in `[listen]`: {} cannot be used: {source}", path.display())]
    Pem {
        key: &'static str,
        path: PathBuf,
        #[source]
        source: PemError,
    },
    #[error("`{key}` in `[listen]`: {} has no certificate", path.display())]
    Empty { key: &'static str, path: PathBuf },
    #[error("`client_ca` in `[listen]`: {0}")]
    Authority(#[from] VerifierBuilderError),
    #[error("certificate and key in `[listen]`: {0}")]
    Rustls(#[from] rustls::Error),
}

/// A listening socket for TLS connections. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct TlsListener {
    pub(super) listener: Arc<TcpListener>,
    pub(super) identity: Arc<TlsIdentity>,
}

/// What the daemon shows, and whom it believes.
#[derive(Debug)]
pub(super) struct TlsIdentity {
    files: Listen,
    /// Guards the pointer, and that only one reads the files.
    current: Mutex<(Stamps, Arc<ServerConfig>)>,
}

impl TlsListener {
    /// Reads the files and listens. Needs a runtime.
    pub(super) async fn bind(files: &Listen) -> Result<Self, TlsError> {
        let identity = Arc::new(TlsIdentity::read(files.clone())?);
        let address = files.tcp;
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|source| TlsError::Bind { address, source })?;
        Ok(Self {
            listener: Arc::new(listener),
            identity,
        })
    }
}

impl TlsIdentity {
    fn read(files: Listen) -> Result<Self, TlsError> {
        let current = Mutex::new((Stamps::of(&files), Arc::new(config(&files)?)));
        Ok(Self { files, current })
    }

    /// Reads the files again if they have changed. Blocks for as long as the file system does.
    ///
    /// An error leaves what was read before, and is told once for each change.
    pub(super) fn refresh(&self) -> Result<(), TlsError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = Stamps::of(&self.files);
        if current.0 != stamps {
            // Also if they cannot be used: once they are complete, they have changed again.
            current.0 = stamps;
            current.1 = Arc::new(config(&self.files)?);
            tracing::info!("the certificates of `[listen]` were read again");
        }
        Ok(())
    }

    /// Shakes hands; returns the connection and whose it is. No time limit.
    pub(super) async fn accept(
        self: Arc<Self>,
        connection: TcpStream,
        address: SocketAddr,
    ) -> io::Result<(TlsStream<TcpStream>, Certified)> {
        connection.set_nodelay(true)?;
        let config = tokio::task::spawn_blocking(move || {
            if let Err(error) = self.refresh() {
                tracing::error!(%error, "the certificates read before go on to serve");
            }
            let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(&current.1)
        })
        .await?;
        let handshake = TlsAcceptor::from(config).accept(connection).into_fallible();
        let stream = match handshake.await {
            Ok(stream) => stream,
            Err((error, connection)) => {
                part_from(connection).await;
                return Err(error);
            }
        };
        let certificates = stream.get_ref().1.peer_certificates();
        // Whom rustls has let in has one.
        let leaf = certificates.and_then(<[_]>::first);
        let names = leaf.map(|leaf| names(leaf)).unwrap_or_default();
        Ok((stream, Certified { address, names }))
    }
}

/// Lets the alert arrive that says why: whoever closes with bytes unread resets the connection, and what was
/// sent is lost. Bounded by the caller's patience with the handshake.
async fn part_from(mut connection: TcpStream) {
    if connection.shutdown().await.is_ok() {
        let mut rest = connection.take(FAREWELL);
        // A courtesy: whether the other side takes it or not, it is over.
        let _ = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
    }
}

fn config(files: &Listen) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let mut authorities = RootCertStore::empty();
    for authority in certificates("client_ca", &files.client_ca)? {
        authorities.add(authority)?;
    }
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(&provider))
            .build()?;
    let chain = certificates("certificate", &files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| TlsError::Pem {
        key: "key",
        path: files.key.clone(),
        source,
    })?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A session that is resumed would be let in by an authority that is believed no longer.
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let path = path.to_path_buf();
    match read {
        Ok(found) if found.is_empty() => Err(TlsError::Empty { key, path }),
        Ok(found) => Ok(found),
        Err(source) => Err(TlsError::Pem { key, path, source }),
    }
}

/// Common names and alternative names. One that cannot be read is nobody's.
fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = Certificate::from_der(certificate) else {
        return Vec::new();
    };
    let certificate = certificate.tbs_certificate();
    let subject = certificate.subject().iter();
    let common = subject
        .filter(|attribute| attribute.oid == COMMON_NAME)
        .filter_map(|attribute| String::from_utf8(attribute.value.value().to_vec()).ok());
    let alternatives = certificate.get_extension::<SubjectAltName>().ok().flatten();
    let alternatives = alternatives.map(|(_, names)| names.0).unwrap_or_default();
    let alternatives = alternatives.into_iter().filter_map(|name| match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::UniformResourceIdentifier(name) => Some(name.to_string()),
        GeneralName::Rfc822Name(name) => Some(name.to_string()),
        _ => None,
    });
    common.chain(alternatives).collect()
}

/// What differs after a file was written or replaced.
type Stamp = Option<(u64, u64, i64, i64)>;

/// Of the three files.
#[derive(Debug, PartialEq, Eq)]
struct Stamps([Stamp; 3]);

impl Stamps {
    fn of(files: &Listen) -> Self {
        let files = [&files.certificate, &files.key, &files.client_ca];
        Self(files.map(|file| {
            let found = fs::metadata(file).ok()?;
            Some((found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
        }))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, Issuer, KeyPair, SanType};

    use super::*;

    /// An authority's certificate, a certificate that it has signed, and its key, as files.
    fn files(folder: &Path, names: &[SanType], common: Option<&str>) -> Listen {
        let (authority_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut authority = CertificateParams::default();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let signed = authority.self_signed(&authority_key).unwrap();
        let issuer = Issuer::new(authority, authority_key);
        let mut leaf = CertificateParams::default();
        leaf.subject_alt_names = names.to_vec();
        leaf.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(name) = common {
            leaf.distinguished_name.push(DnType::CommonName, name);
        }
        let leaf = leaf.signed_by(&key, &issuer).unwrap();
        let file = |name: &str, pem: String| {
            fs::write(folder.join(name), pem).unwrap();
            folder.join(name)
        };
        Listen {
            tcp: ([127, 0, 0, 1], 1).into(),
            certificate: file("certificate.pem", leaf.pem()),
            key: file("key.pem", key.serialize_pem()),
            client_ca: file("ca.pem", signed.pem()),
        }
    }

    fn names_of(alternatives: &[SanType], common: Option<&str>) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path(), alternatives, common);
        names(&certificates("certificate", &files.certificate).unwrap()[0])
    }

    #[test]
    fn a_certificate_has_its_common_name_and_its_alternative_names() {
        let alternatives = [
            SanType::DnsName("thor.example".try_into().unwrap()),
            SanType::URI("spiffe://hall/thor".try_into().unwrap()),
            SanType::Rfc822Name("thor@example.org".try_into().unwrap()),
        ];
        assert_eq!(
            names_of(&alternatives, Some("thor")),
            [
                "thor",
                "thor.example",
                "spiffe://hall/thor",
                "thor@example.org"
            ]
        );
        assert_eq!(names_of(&[], None), Vec::<String>::new());
        assert_eq!(
            names(&CertificateDer::from(vec![1, 2, 3])),
            Vec::<String>::new()
        );
    }

    #[test]
    fn files_that_cannot_be_used_leave_the_ones_that_were_read_until_they_can() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path(), &[], Some("hall"));
        let key = fs::read(&files.key).unwrap();
        let identity = TlsIdentity::read(files.clone()).unwrap();
        let current = || Arc::clone(&identity.current.lock().unwrap().1);
        let before = current();

        identity.refresh().unwrap();
        assert!(Arc::ptr_eq(&before, &current()), "nothing has changed");
        fs::write(&files.key, "no key").unwrap();
        let error = identity.refresh().unwrap_err().to_string();
        assert!(error.contains("key.pem"), "{error}");
        assert!(Arc::ptr_eq(&before, &current()));
        fs::write(&files.key, key).unwrap();
        identity.refresh().unwrap();
        assert!(!Arc::ptr_eq(&before, &current()));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_with_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let good = files(folder.path(), &[], Some("hall"));
        let (none, stranger) = (folder.path().join("none"), tempfile::tempdir().unwrap());
        fs::write(&none, "").unwrap();
        let stranger = files(stranger.path(), &[], None);
        for (files, expected) in [
            (
                Listen {
                    client_ca: none.clone(),
                    ..good.clone()
                },
                "`client_ca`",
            ),
            (
                Listen {
                    certificate: none.clone(),
                    ..good.clone()
                },
                "`certificate`",
            ),
            (
                Listen {
                    key: folder.path().join("missing"),
                    ..good.clone()
                },
                "`key`",
            ),
            (
                Listen {
                    key: stranger.key,
                    ..good.clone()
                },
                "certificate and key",
            ),
        ] {
            let error = config(&files).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
