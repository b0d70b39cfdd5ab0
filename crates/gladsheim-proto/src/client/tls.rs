//! The way over TCP: TLS 1.3 in which both sides show a certificate.

use std::{fmt, io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
        version::TLS13,
    },
};
use tonic::transport::Endpoint;

use super::{Client, over};

/// How long a quiet connection is believed in while a call waits on it.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Where a daemon listens on the network, and who is who.
#[derive(Clone, Default)]
pub struct TlsOptions {
    /// `HOST:PORT`.
    pub address: String,
    /// The name in the daemon's certificate; by default the host of the address.
    pub server_name: Option<String>,
    /// PEM: the authorities that may have signed the daemon's certificate.
    pub authority: Vec<u8>,
    /// PEM: the caller's certificate, and those between it and the daemon's `client_ca`.
    pub certificate: Vec<u8>,
    /// PEM: the private key of the caller's certificate.
    pub key: Vec<u8>,
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is nobody's business.
        f.debug_struct("TlsOptions")
            .field("address", &self.address)
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

/// There is no connection to a daemon on the network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// What was handed over cannot be used.
    #[error("the {what} cannot be used: {why}")]
    Unusable {
        /// Which part of the options.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The daemon does not accept the caller's certificate.
    #[error("the daemon at {address} does not accept our certificate")]
    Refused {
        /// Where.
        address: String,
        /// What TLS said.
        source: io::Error,
    },
    /// Nobody listens there, or the other side is not who it should be.
    #[error("cannot connect to {address}")]
    Connect {
        /// Where.
        address: String,
        /// What the operating system or TLS said.
        source: io::Error,
    },
}

impl Client {
    /// Connects to a daemon on the network. Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// When the options make no sense, nobody listens, the daemon's certificate is not one of the authority's
    /// for that name, or the daemon does not accept the caller's.
    pub async fn connect_tls(options: TlsOptions) -> Result<Self, TlsError> {
        let way = Arc::new(Way::of(options)?);
        let first = way.open().await.map_err(|source| {
            let address = way.address.clone();
            let inner = source.get_ref().and_then(|inner| inner.downcast_ref());
            match inner {
                Some(rustls::Error::AlertReceived(_)) => TlsError::Refused { address, source },
                _ => TlsError::Connect { address, source },
            }
        })?;
        let endpoint = Endpoint::from_static("http://localhost")
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE);
        Ok(over(endpoint, first, move || {
            let way = Arc::clone(&way);
            async move { way.open().await }
        }))
    }
}

/// The way to one daemon.
struct Way {
    address: String,
    name: ServerName<'static>,
    connector: TlsConnector,
}

impl Way {
    fn of(options: TlsOptions) -> Result<Self, TlsError> {
        let unusable = |what| move |why: String| TlsError::Unusable { what, why };
        let TlsOptions {
            address,
            server_name,
            authority,
            certificate,
            key,
        } = options;
        let host = address.rsplit_once(':').map(|(host, _)| host.to_owned());
        let host = host.ok_or_else(|| unusable("address")("it has no port".to_owned()))?;
        let name = server_name.unwrap_or_else(|| host.trim_matches(['[', ']']).to_owned());
        let name = ServerName::try_from(name)
            .map_err(|error| unusable("server's name")(error.to_string()))?;

        let mut authorities = RootCertStore::empty();
        for authority in certificates("authority", &authority)? {
            let added = authorities.add(authority);
            added.map_err(|error| unusable("authority")(error.to_string()))?;
        }
        let chain = certificates("certificate", &certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&key)
            .map_err(|error| unusable("key")(error.to_string()))?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .map(|builder| builder.with_root_certificates(authorities))
            .and_then(|builder| builder.with_client_auth_cert(chain, key));
        let mut config = config.map_err(|error| unusable("certificate")(error.to_string()))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self {
            address,
            name,
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    /// A connection on which the daemon has begun to speak.
    async fn open(&self) -> io::Result<BufReader<TlsStream<TcpStream>>> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let stream = self.connector.connect(self.name.clone(), stream).await?;
        // In TLS 1.3 the daemon judges our certificate when the handshake is over for us. Both sides of HTTP/2
        // speak at once, so its first bytes, or its refusal, come without our asking.
        let mut stream = BufReader::new(stream);
        match stream.fill_buf().await? {
            [] => Err(io::ErrorKind::ConnectionAborted.into()),
            _ => Ok(stream),
        }
    }
}

fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err("there is no certificate in it".to_owned()),
        Err(error) => Err(error.to_string()),
    }
    .map_err(|why| TlsError::Unusable { what, why })
}
