//! Heimdall's port: who may start. Asked before every start.

use std::{fs::File, io, path::Path};

use async_trait::async_trait;

/// Decides whether a service may be started, and with which file.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Authorizer: Send + Sync + 'static {
    /// Judges one start. The service is known already: its path is configured.
    ///
    /// # Errors
    ///
    /// A refusal with its reason, or a file that could not be read.
    async fn authorize(&self, request: StartRequest) -> Result<Admission, AuthorizeError>;
}

/// Who wants to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartRequest {
    /// Name of the service.
    pub service_name: String,
    /// Its program, looked up already.
    pub program: std::path::PathBuf,
    /// SHA-256 in hexadecimal that the file must have.
    pub sha256: Option<String>,
}

/// Leave to start.
#[derive(Debug, Default)]
pub struct Admission {
    /// The very file that was judged, to be executed by its descriptor; without it, the path is.
    pub executable: Option<File>,
}

/// Why a start was not admitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorizeError {
    /// Refused; the text has the reason and the way out.
    #[error("{0}")]
    Refused(String),
    /// The file could not be read for judging it.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
}

impl AuthorizeError {
    pub(crate) fn refused(path: &Path, reason: &str) -> Self {
        Self::Refused(format!("{} {reason}", path.display()))
    }
}
