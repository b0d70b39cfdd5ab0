//! One HTTP/2 connection: served until its peer has gone, or the daemon has stopped and its calls have ended.

use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::{rt::Executor, server::conn::http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::call::Calls;

/// Flow-control windows and send buffers: a control socket moves small messages, and memory is per connection.
const WINDOW: u32 = 64 * 1024;
/// Calls at once on one connection.
const STREAMS: u32 = 128;
/// How long a peer may take to say that it speaks HTTP/2.
const PATIENCE: Duration = Duration::from_secs(10);
/// With how many bytes it says so (RFC 9113, section 3.4).
const PREFACE: usize = 24;

/// Where connections and their calls live.
#[derive(Debug, Clone)]
pub(super) struct Host {
    pub(super) tasks: TaskTracker,
    /// Connections take no more calls, and close after the last one.
    stopped: CancellationToken,
    /// Connections and calls end at once.
    pub(super) cut: CancellationToken,
}

impl Host {
    pub(super) fn new(stopped: CancellationToken) -> Self {
        Self {
            tasks: TaskTracker::new(),
            stopped,
            cut: CancellationToken::new(),
        }
    }

    /// Serves a connection. With `keep_alive`, it is given up when its peer is silent for twice as long.
    pub(super) fn serve(
        &self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        calls: Calls,
        keep_alive: Option<Duration>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (host, stopped) = (self.clone(), self.stopped.clone());
        async move {
            let connection = http2::Builder::new(host)
                .keep_alive_interval(keep_alive)
                .keep_alive_timeout(keep_alive.unwrap_or_default())
                .timer(TokioTimer::new())
                .initial_stream_window_size(WINDOW)
                .initial_connection_window_size(WINDOW)
                .max_send_buf_size(WINDOW as usize)
                .max_concurrent_streams(STREAMS)
                .serve_connection(TokioIo::new(Prompt::new(io)), calls);
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = &mut connection => ended,
                () = stopped.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            // Peers go away as they like, and what they say need not be HTTP/2.
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection broke");
            }
        }
    }
}

impl<F> Executor<F> for Host
where
    F: Future + Send + 'static,
{
    fn execute(&self, task: F) {
        let task = self.cut.clone().run_until_cancelled_owned(task);
        self.tasks.spawn(async move {
            // What a task has to say it has said to its peer.
            let _ = task.await;
        });
    }
}

/// A stream whose peer has to begin to speak in time.
struct Prompt<T> {
    io: T,
    /// Bytes of the preface that are still missing.
    missing: usize,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<T> Prompt<T> {
    fn new(io: T) -> Self {
        Self {
            io,
            missing: PREFACE,
            deadline: Some(Box::pin(sleep(PATIENCE))),
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Prompt<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        if self.missing == 0 {
            return read;
        }
        if read.is_ready() {
            self.missing = self.missing.saturating_sub(buffer.filled().len() - before);
            if self.missing == 0 {
                self.deadline = None;
            }
            return read;
        }
        if let Some(deadline) = &mut self.deadline {
            ready!(deadline.as_mut().poll(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Prompt<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_or_too_little_is_given_up() {
        for said in [0, PREFACE - 1] {
            let (ours, mut theirs) = duplex(64);
            theirs.write_all(&vec![b'P'; said]).await.unwrap();
            let mut prompt = Prompt::new(ours);
            let mut heard = Vec::new();
            let error = prompt.read_to_end(&mut heard).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert_eq!(heard.len(), said);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_begun_may_be_silent_for_ever() {
        let (ours, mut theirs) = duplex(64);
        theirs.write_all(&[b'P'; PREFACE]).await.unwrap();
        let mut prompt = Prompt::new(ours);
        let mut heard = [0; PREFACE];
        prompt.read_exact(&mut heard).await.unwrap();
        let silent = tokio::time::timeout(100 * PATIENCE, prompt.read(&mut heard)).await;
        assert!(silent.is_err());
    }
}
