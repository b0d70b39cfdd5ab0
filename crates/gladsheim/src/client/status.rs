//! `status`: rows of many services, or one service at length.

use std::process::ExitCode;

use futures_util::TryStreamExt as _;
use gladsheim_proto::v1::{
    DescribeServiceRequest, ServiceDescription, ServiceStatus, StreamLogsRequest,
};

use super::{CliError, Session, about, query::services};
use crate::{
    cli::{Format, Status},
    output::{
        self,
        detail::{self, DetailDocument},
        now_unix_ms,
    },
};

/// How many of a service's last lines its page has.
const LAST_LINES: u32 = 10;

/// `status`
pub(super) async fn status(session: &Session, args: Status) -> Result<ExitCode, CliError> {
    let Status {
        names,
        state,
        filter,
    } = args;
    let filtered = state.is_some() || !filter.metadata.is_empty();
    let names = session.named(names.names).await?;
    match (session.output.format, &*names) {
        (Format::Table, [name]) if !filtered => page(session, name).await?,
        (Format::Json, names) if !filtered && !names.is_empty() => details(session, names).await?,
        (format, names) => {
            let services =
                services(session, names, state.unwrap_or_default(), filter.pairs()).await?;
            match format {
                Format::Json => session.output.json(&output::status::documents(&services))?,
                Format::Table => {
                    let table = output::status::table(&services, now_unix_ms(), session.output);
                    session.output.line(&table)?;
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The named services at length, for programs.
async fn details(session: &Session, names: &[String]) -> Result<(), CliError> {
    let mut described = Vec::new();
    for name in names {
        described.push(describe(session, name).await?);
    }
    let documents: Vec<_> = described
        .iter()
        .map(|(description, status)| DetailDocument::new(description, status))
        .collect();
    Ok(session.output.json(&documents)?)
}

/// One service at length, with its last lines, for people.
async fn page(session: &Session, name: &str) -> Result<(), CliError> {
    let (description, status) = describe(session, name).await?;
    let request = StreamLogsRequest {
        service_name: name.to_owned(),
        last: Some(LAST_LINES),
        follow: false,
    };
    let lines = session.client.stream_logs(request).await;
    let lines = lines.map_err(about(name))?.try_collect::<Vec<_>>().await;
    let (lines, output) = (lines.map_err(about(name))?, session.output);
    let page = detail::page(&description, &status, &lines, now_unix_ms(), output);
    Ok(output.line(&page)?)
}

async fn describe(
    session: &Session,
    name: &str,
) -> Result<(ServiceDescription, ServiceStatus), CliError> {
    let request = DescribeServiceRequest {
        service_name: name.to_owned(),
    };
    let described = session.client.describe_service(request).await;
    let mut description = described.map_err(about(name))?;
    let status = description.status.take().unwrap_or_default();
    Ok((description, status))
}
