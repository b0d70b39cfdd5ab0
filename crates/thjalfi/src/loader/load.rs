//! Leave to start a program, and reading it ahead of its start.

use std::path::Path;

use super::{Inner, ServiceLoader};
use crate::{
    Admission, AuthorizeError, Loaded, ProcessEvent, ServiceLoaderError, StartRequest,
    error::{SpawnError, Stage},
    preload,
    spawn::program_path,
};

impl ServiceLoader {
    /// As [`ServiceLoaderApi::load_service`](crate::ServiceLoaderApi::load_service).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn load_service(
        &self,
        service_name: &str,
        sha256: Option<String>,
    ) -> Result<Loaded, ServiceLoaderError> {
        let path = self
            .inner
            .path(service_name)
            .ok_or_else(|| ServiceLoaderError::ServiceNotFound(service_name.to_owned()))?;
        let program = program_path(&path);
        self.inner.admit(service_name, &program, sha256).await?;
        let file = program.clone();
        let loading = tokio::task::spawn_blocking(move || preload::load(&file));
        let loaded = loading
            .await
            .map_err(|error| ServiceLoaderError::Io(error.into()))?;
        loaded.map_err(|error| unreadable(service_name, &program, error))
    }
}

impl Inner {
    pub(super) async fn admit(
        &self,
        service_name: &str,
        program: &Path,
        sha256: Option<String>,
    ) -> Result<Admission, ServiceLoaderError> {
        let request = StartRequest {
            service_name: service_name.to_owned(),
            program: program.to_owned(),
            sha256,
        };
        let admission = self.ports.authorizer.authorize(request).await;
        admission.map_err(|error| match error {
            AuthorizeError::Refused(reason) => self.refused(service_name, reason),
            AuthorizeError::Unreadable(error) => unreadable(service_name, program, error),
        })
    }

    fn refused(&self, service_name: &str, reason: String) -> ServiceLoaderError {
        let error = ServiceLoaderError::Unauthorized(format!("{service_name}: {reason}"));
        self.slots.tell(ProcessEvent::Refused {
            service_name: service_name.to_owned(),
            reason,
        });
        error
    }
}

fn unreadable(service_name: &str, program: &Path, error: std::io::Error) -> ServiceLoaderError {
    let program = program.display().to_string();
    let error = SpawnError::new(Stage::Open, program, error);
    ServiceLoaderError::spawn_failed(service_name, &error)
}
