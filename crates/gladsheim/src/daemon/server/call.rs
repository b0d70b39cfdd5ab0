//! One call: let in or not, answered before its deadline or told that it has passed.
//!
//! A deadline (`grpc-timeout`) ends the call and not the command: what a call has begun goes on, as it does when
//! its caller goes away.

use std::{convert::Infallible, future::Future, pin::Pin, sync::Arc, time::Duration};

use gladsheim_proto::reason;
use hyper::{Request, Response, body::Incoming, header::HeaderMap};
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Status, body::Body, service::Routes};
use tower::Service as _;

use super::body::Bounded;
use crate::daemon::{access::AccessControl, metrics::CallCounts, peer::Peer};

/// How long the rest of a request may take once its head is there.
const REQUEST: Duration = Duration::from_secs(30);

/// All calls of one connection.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    routes: Routes,
    access: Arc<AccessControl>,
    counts: CallCounts,
    peer: Arc<Peer>,
}

impl Calls {
    pub(super) fn new(
        routes: Routes,
        access: Arc<AccessControl>,
        counts: CallCounts,
        peer: Peer,
    ) -> Self {
        let peer = Arc::new(peer);
        Self {
            routes,
            access,
            counts,
            peer,
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Response<Body> {
        let Self {
            mut routes,
            access,
            counts: _,
            peer,
        } = self;
        let now = Instant::now();
        let path = request.uri().path();
        if let Err(refusal) = access.check(&peer, path) {
            return refusal.into_http();
        }
        // Reflection is a conversation, and may pause.
        let bound = (!path.starts_with("/grpc.reflection.")).then(|| now + REQUEST);
        let deadline = deadline(request.headers(), now);
        let request = request.map(|body| match bound {
            Some(bound) => Body::new(Bounded::request(body, bound)),
            None => Body::new(body),
        });
        let Some(deadline) = deadline else {
            let Ok(response) = routes.call(request).await;
            return response;
        };
        match timeout_at(deadline, routes.call(request)).await {
            Ok(Ok(response)) => response.map(|body| Body::new(Bounded::response(body, deadline))),
            Err(_) => expired().into_http(),
        }
    }
}

impl hyper::service::Service<Request<Incoming>> for Calls {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let counts = self.counts.clone();
        let path = request.uri().path().to_owned();
        let answer = self.clone().answer(request);
        Box::pin(async move {
            let response = answer.await;
            counts.count(&path, &response);
            Ok(response)
        })
    }
}

/// What a caller is told whose deadline has passed.
pub(super) fn expired() -> Status {
    reason::status(
        Code::DeadlineExceeded,
        reason::DEADLINE_EXCEEDED,
        "the call's deadline has passed; what it had begun goes on, and `gladsheim status` shows how far it is",
    )
}

/// What a caller is told whose request does not come to its end.
pub(super) fn unfinished() -> Status {
    reason::status(
        Code::DeadlineExceeded,
        reason::DEADLINE_EXCEEDED,
        format!("the request was not complete after {REQUEST:?}, and nothing was done"),
    )
}

/// When the caller will not wait any longer; `None` if it has not said so, or not understandably.
fn deadline(headers: &HeaderMap, now: Instant) -> Option<Instant> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    // The specification of gRPC over HTTP/2: one to eight digits, and a unit.
    let is_number = (1..=8).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = is_number.then(|| number.parse().ok())??;
    let timeout = match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    };
    now.checked_add(timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_read_as_the_specification_has_them() {
        let now = Instant::now();
        let read = |text: &str| {
            let headers =
                HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), text.parse().unwrap())]);
            deadline(&headers, now).map(|deadline| deadline - now)
        };
        for (text, expected) in [
            ("1H", Duration::from_secs(3600)),
            ("2M", Duration::from_secs(120)),
            ("99999999S", Duration::from_secs(99_999_999)),
            ("100m", Duration::from_millis(100)),
            ("5u", Duration::from_micros(5)),
            ("0n", Duration::ZERO),
        ] {
            assert_eq!(read(text), Some(expected), "{text}");
        }
        for text in ["", "S", "1", "1s", "123456789S", "-1S", "1.5S", "1 S", "1é"] {
            let valid = text.parse::<hyper::header::HeaderValue>().is_ok();
            assert!(!valid || read(text).is_none(), "{text}");
        }
        assert_eq!(deadline(&HeaderMap::new(), now), None);
    }
}
