//! Options for a daemon on the network.

use std::path::PathBuf;

use clap::Args;

/// Where it is, and who we are.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "A daemon on the network")]
pub(crate) struct Remote {
    /// A daemon that has `[listen]`, instead of one of this machine [env: GLADSHEIM_ADDRESS]
    #[arg(long, global = true, value_name = "HOST:PORT")]
    pub(crate) address: Option<String>,
    /// The authority of its certificate, PEM [env: GLADSHEIM_TLS_CA]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// Our certificate, PEM [env: GLADSHEIM_TLS_CERT]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The private key of our certificate, PEM [env: GLADSHEIM_TLS_KEY]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// The name in its certificate [env: GLADSHEIM_TLS_NAME] [default: the host of the address]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) tls_name: Option<String>,
}
