//! `plan` and `reload`: what a changed hall file means for the services, and doing it.

use std::process::ExitCode;

use gladsheim_proto::v1::{ReloadRequest, ReloadResponse, ReloadStep};

use super::{CliError, Session};
use crate::{
    cli::Format,
    output::{self, reload},
};

/// `plan`
pub(super) async fn plan(session: &Session) -> Result<ExitCode, CliError> {
    ask(session, true).await
}

/// `reload`
pub(super) async fn reload(session: &Session) -> Result<ExitCode, CliError> {
    ask(session, false).await
}

async fn ask(session: &Session, dry_run: bool) -> Result<ExitCode, CliError> {
    let answer = session.client.reload(ReloadRequest { dry_run }).await;
    let response = answer.map_err(|status| CliError::of_status(None, status))?;
    let ReloadResponse { steps, daemon_keys } = &response;
    match session.output.format {
        Format::Json => session.output.json(&reload::document(&response))?,
        Format::Table => session.output.line(&reload::table(steps, session.output))?,
    }
    if !daemon_keys.is_empty() {
        let keys = daemon_keys.join(", ");
        output::warn(&format!(
            "gladsheim: changes of {keys} take effect when the daemon is started again\n"
        ));
    }
    match steps.iter().find(|step| !step.error.is_empty()) {
        Some(ReloadStep {
            service_name,
            error,
            error_reason,
            ..
        }) => Err(CliError::NotUp {
            service_name: service_name.clone(),
            reason: error_reason.clone(),
            message: error.clone(),
        }),
        None => Ok(ExitCode::SUCCESS),
    }
}
