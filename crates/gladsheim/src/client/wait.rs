//! `wait`: blocks until something is true of a service.

use std::process::ExitCode;

use gladsheim_proto::v1::WaitServiceRequest;
use serde::Serialize;

use super::{CliError, Session, about};
use crate::cli::{Condition, Format, Wait};

/// The JSON of a run that has ended.
#[derive(Debug, Serialize)]
struct ExitDocument<'a> {
    service_name: &'a str,
    exit_code: Option<i32>,
    signal: Option<i32>,
}

/// `wait`
pub(super) async fn wait(session: &Session, args: Wait) -> Result<ExitCode, CliError> {
    let Wait {
        name,
        condition,
        timeout,
    } = args;
    let request = WaitServiceRequest {
        service_name: name.clone(),
        condition: condition.as_str().to_owned(),
    };
    let call = session.client.wait_service(request);
    let answer = match timeout {
        None => call.await,
        Some(timeout) => {
            tokio::time::timeout(timeout, call)
                .await
                .map_err(|_| CliError::WaitTimedOut {
                    service_name: name.clone(),
                    condition,
                    timeout,
                })?
        }
    };
    let answer = answer.map_err(about(&name))?;
    if condition != Condition::Exited {
        return Ok(ExitCode::SUCCESS);
    }
    let Some(code) = shell_code(answer.exit_code, answer.signal) else {
        return Err(CliError::UnknownExit { service_name: name });
    };
    match session.output.format {
        Format::Json => session.output.json(&ExitDocument {
            service_name: &name,
            exit_code: answer.exit_code,
            signal: answer.signal,
        })?,
        Format::Table => session.output.line(&code.to_string())?,
    }
    Ok(ExitCode::from(code))
}

/// The code by which a shell would tell of this end: 128 + n for signal n.
fn shell_code(exit_code: Option<i32>, signal: Option<i32>) -> Option<u8> {
    let code = exit_code.or_else(|| signal.map(|signal| 128 + signal))?;
    u8::try_from(code).ok()
}

#[cfg(test)]
mod tests {
    use super::shell_code;

    #[test]
    fn a_signal_counts_from_128_and_an_unknown_end_is_none() {
        assert_eq!(shell_code(Some(7), None), Some(7));
        assert_eq!(shell_code(None, Some(9)), Some(137));
        assert_eq!(shell_code(None, None), None);
    }
}
