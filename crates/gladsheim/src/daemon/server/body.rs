//! Bodies that have to come to their end in time.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;

use super::call;

/// A body, and what becomes of it at its deadline.
pub(super) struct Bounded<B> {
    body: B,
    deadline: Pin<Box<Sleep>>,
    at_deadline: fn() -> Result<Frame<Bytes>, Status>,
    ended: bool,
}

impl<B> Bounded<B> {
    /// A request: an error at its deadline.
    pub(super) fn request(body: B, deadline: Instant) -> Self {
        Self::new(body, deadline, || Err(call::unfinished()))
    }

    /// A response: ends with the status of a deadline that has passed.
    pub(super) fn response(body: B, deadline: Instant) -> Self {
        Self::new(body, deadline, || {
            let status = call::expired().into_http::<()>();
            Ok(Frame::trailers(status.into_parts().0.headers))
        })
    }

    fn new(body: B, deadline: Instant, at_deadline: fn() -> Result<Frame<Bytes>, Status>) -> Self {
        Self {
            body,
            deadline: Box::pin(sleep_until(deadline)),
            at_deadline,
            ended: false,
        }
    }
}

impl<B> Body for Bounded<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            let frame = frame.map(|frame| frame.map_err(|error| Status::from_error(error.into())));
            return Poll::Ready(frame);
        }
        if self.deadline.as_mut().poll(context).is_ready() {
            self.ended = true;
            return Poll::Ready(Some((self.at_deadline)()));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, time::Duration};

    use gladsheim_proto::reason;
    use http_body_util::BodyExt as _;
    use tonic::Code;

    use super::*;

    /// A body that never says anything.
    struct Silent;

    impl Body for Silent {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_does_not_end_is_an_error() {
        let error = Bounded::request(Silent, soon()).collect().await;
        let error = error.err().unwrap();
        assert_eq!(error.code(), Code::DeadlineExceeded);
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_that_does_not_end_is_ended_with_a_status() {
        let collected = Bounded::response(Silent, soon()).collect().await.unwrap();
        let status = Status::from_header_map(collected.trailers().unwrap()).unwrap();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(reason::of(&status), Some(reason::DEADLINE_EXCEEDED));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_ends_in_time_is_as_it_was() {
        let body = http_body_util::Full::new(Bytes::from_static(b"hail"));
        let collected = Bounded::response(body, soon()).collect().await.unwrap();
        assert!(collected.trailers().is_none());
        assert_eq!(collected.to_bytes(), "hail");
    }
}
