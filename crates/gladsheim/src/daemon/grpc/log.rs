//! Logs of several services as one stream, in the order of their times.

use std::{
    future::poll_fn,
    task::{Context, Poll},
};

use futures_util::stream::unfold;
use gladsheim_core::thjalfi::{LogLine, LogStream};
use gladsheim_proto::v1;
use tokio_util::sync::CancellationToken;

use super::Messages;
use crate::daemon::convert;

/// All `sources` merged. With `follow`, a source that has nothing to say is not waited for. Ends when
/// all sources have, or when `stopped` is cancelled and nothing more is there.
pub(super) fn merged(
    sources: Vec<LogStream>,
    follow: bool,
    stopped: CancellationToken,
) -> Messages<v1::LogLine> {
    let merge = Merge {
        sources: sources.into_iter().map(|lines| (None, lines)).collect(),
        follow,
    };
    Box::pin(unfold((merge, stopped), |(mut merge, stopped)| async {
        let line = tokio::select! {
            biased;
            line = poll_fn(|context| merge.poll_next(context)) => line?,
            () = stopped.cancelled() => return None,
        };
        Some((Ok(convert::log_line(line)), (merge, stopped)))
    }))
}

struct Merge {
    /// Each source with its oldest line that was not passed on yet.
    sources: Vec<(Option<LogLine>, LogStream)>,
    follow: bool,
}

impl Merge {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<LogLine>> {
        let mut quiet = false;
        self.sources.retain_mut(|(head, lines)| {
            if head.is_none() {
                match lines.poll_recv(context) {
                    Poll::Ready(line) => *head = line,
                    Poll::Pending => {
                        quiet = true;
                        return true;
                    }
                }
            }
            head.is_some()
        });
        if quiet && !self.follow {
            return Poll::Pending;
        }
        let heads = self.sources.iter_mut().map(|(head, _)| head);
        let oldest = heads
            .filter(|head| head.is_some())
            .min_by_key(|head| head.as_ref().map(|line| line.at));
        match oldest {
            Some(line) => Poll::Ready(line.take()),
            None if quiet => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use futures_util::StreamExt as _;
    use gladsheim_core::thjalfi::OutputStream;
    use tokio::sync::mpsc;

    use super::*;

    fn source(lines: &[(u64, &str)]) -> (mpsc::Sender<LogLine>, LogStream) {
        let (sender, receiver) = mpsc::channel(16);
        for (at, line) in lines {
            sender.try_send(log_line(*at, line)).unwrap();
        }
        (sender, receiver)
    }

    fn log_line(at: u64, line: &str) -> LogLine {
        LogLine {
            service_name: "thor".into(),
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(at),
            stream: OutputStream::Stdout,
            line: line.into(),
        }
    }

    async fn text(lines: &mut Messages<v1::LogLine>) -> Option<String> {
        Some(lines.next().await?.unwrap().line)
    }

    #[tokio::test]
    async fn lines_come_in_the_order_of_their_times() {
        let (thor, thors) = source(&[(1, "a"), (4, "d")]);
        let (freki, frekis) = source(&[(2, "b"), (3, "c")]);
        drop((thor, freki));
        let lines = merged(vec![thors, frekis], false, CancellationToken::new());
        let lines: Vec<_> = lines.map(|line| line.unwrap().line).collect().await;
        assert_eq!(lines, ["a", "b", "c", "d"]);
    }

    #[tokio::test]
    async fn a_quiet_source_holds_up_nobody_who_follows_and_the_stop_ends_it() {
        let stopped = CancellationToken::new();
        let (_quiet, nothing) = source(&[]);
        let (thor, thors) = source(&[(1, "a")]);
        let mut lines = merged(vec![nothing, thors], true, stopped.clone());
        assert_eq!(text(&mut lines).await.as_deref(), Some("a"));

        thor.try_send(log_line(2, "b")).unwrap();
        stopped.cancel();
        assert_eq!(text(&mut lines).await.as_deref(), Some("b"));
        assert_eq!(text(&mut lines).await, None);
    }
}
