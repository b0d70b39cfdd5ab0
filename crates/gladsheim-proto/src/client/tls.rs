//! The way over TCP: TLS 1.3 in which both sides show a certificate.

use std::{fmt, io, sync::Arc, time::Duration};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
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
    /// That a daemon does not accept the caller's certificate shows at the first call, as
    /// [`is_refusal`](Self::is_refusal) finds out.
    ///
    /// # Errors
    ///
    /// When the options make no sense, nobody listens, or the daemon's certificate is not one of the authority's
    /// for that name.
    pub async fn connect_tls(options: TlsOptions) -> Result<Self, TlsError> {
        let way = Arc::new(Way::of(options)?);
        let first = way.open().await.map_err(|source| TlsError::Connect {
            address: way.address.clone(),
            source,
        })?;
        let endpoint = Endpoint::from_static("http://localhost")
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE);
        Ok(over(endpoint, first, move || {
            let way = Arc::clone(&way);
            async move { way.open().await }
        }))
    }

    /// Whether a call failed because the daemon did not accept the caller's certificate.
    pub fn is_refusal(status: &tonic::Status) -> bool {
        let mut source = std::error::Error::source(status);
        while let Some(error) = source {
            // HTTP/2 hands only the text of its connection's error on.
            if error.to_string().contains(ALERT) {
                return true;
            }
            source = error.source();
        }
        false
    }
}

/// How [`rustls::Error::AlertReceived`] begins.
const ALERT: &str = "received fatal alert";

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

    async fn open(&self) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        self.connector.connect(self.name.clone(), stream).await
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
