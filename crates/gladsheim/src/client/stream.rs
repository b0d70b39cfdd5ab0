//! Streams: captured output and events.

use std::process::ExitCode;

use futures_util::{StreamExt as _, TryStreamExt as _, stream::select_all};
use gladsheim_proto::v1::{LogLine, StreamLogsRequest, WatchEventsRequest};

use super::{CliError, Session, about};
use crate::{
    cli::{Events, Format, Logs},
    output::{
        self,
        event::EventDocument,
        log::{LogDocument, Prefixer},
    },
};

/// `logs`
pub(super) async fn logs(session: &Session, args: Logs) -> Result<ExitCode, CliError> {
    // The empty name is the wire's "all".
    let names = if args.names.names.is_empty() {
        vec![String::new()]
    } else {
        session.named(args.names.names).await?
    };
    let mut printer = LogPrinter {
        session,
        prefixer: single(&names),
    };
    let mut streams = Vec::new();
    for name in &names {
        let request = StreamLogsRequest {
            service_name: name.clone(),
            last: Some(args.lines),
            follow: args.follow,
        };
        streams.push(
            session
                .client
                .stream_logs(request)
                .await
                .map_err(about(name))?,
        );
    }
    let refused = |status| CliError::of_status(None, status);
    if streams.len() == 1 || args.follow {
        let mut lines = select_all(streams);
        while let Some(line) = lines.next().await {
            printer.print(&line.map_err(refused)?)?;
        }
    } else {
        let mut lines = Vec::new();
        for stream in streams {
            lines.append(&mut stream.try_collect().await.map_err(refused)?);
        }
        lines.sort_by_key(|line: &LogLine| line.at_unix_ms);
        for line in &lines {
            printer.print(line)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// No prefix where all lines are of one service.
fn single(names: &[String]) -> Option<Prefixer> {
    match names {
        [name] if !name.is_empty() => None,
        _ => Some(Prefixer::new(names.iter().map(String::as_str))),
    }
}

struct LogPrinter<'a> {
    session: &'a Session,
    prefixer: Option<Prefixer>,
}

impl LogPrinter<'_> {
    fn print(&mut self, line: &LogLine) -> Result<(), CliError> {
        let output = self.session.output;
        match (output.format, &mut self.prefixer) {
            (Format::Json, _) => output.json(&LogDocument::from(line))?,
            (Format::Table, None) => output.line(&line.line)?,
            (Format::Table, Some(prefixer)) => {
                output.line(&prefixer.line(&line.service_name, &line.line, output))?;
            }
        }
        Ok(())
    }
}

/// `events`
pub(super) async fn events(session: &Session, args: Events) -> Result<ExitCode, CliError> {
    let refused = |status| CliError::of_status(None, status);
    let Events { follow, since } = args;
    let request = WatchEventsRequest {
        since,
        follow,
        service_name: String::new(),
    };
    let mut events = session
        .client
        .watch_events(request)
        .await
        .map_err(refused)?;
    while let Some(event) = events.message().await.map_err(refused)? {
        match session.output.format {
            Format::Json => session.output.json(&EventDocument::from(&event))?,
            Format::Table => session
                .output
                .line(&output::event::line(&event, session.output))?,
        }
    }
    Ok(ExitCode::SUCCESS)
}
