//! HTTP check: GET; 2xx and 3xx are healthy.
//!
//! A connection is kept from one check to the next, without a task of its own: between checks it
//! sleeps, and if the server has closed it meanwhile, the next check opens a new one.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, StatusCode, Uri,
    body::Incoming,
    client::conn::http1,
    header::{ACCEPT, HOST, LOCATION, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tokio_util::either::Either;

use crate::probe::{
    ProbeOutcome,
    http::target::{Hop, Target, follow},
    kept::Kept,
    tail::short_line,
};

mod target;

/// Bytes of a body that are read; the rest is dropped, and the connection with it.
const BODY: usize = 64 * 1024;
/// Redirects that are followed.
const REDIRECTS: usize = 10;
const AGENT: &str = concat!("roskva/", env!("CARGO_PKG_VERSION"));

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Stream = Either<TcpStream, UnixStream>;

pub(crate) fn validate(url: &str) -> Result<(), String> {
    Target::parse(url).map(drop)
}

#[derive(Debug, Default)]
pub(crate) struct HttpProbe {
    kept: Kept<Connection>,
}

impl HttpProbe {
    pub(crate) fn forget(&self, service: &str) {
        self.kept.forget(service);
    }

    pub(crate) async fn check(&self, service: &str, url: &str) -> ProbeOutcome {
        let mut target = match Target::parse(url) {
            Ok(target) => target,
            Err(text) => return ProbeOutcome::Unhealthy(text),
        };
        for _ in 0..=REDIRECTS {
            let answer = match self.get(service, &target).await {
                Ok(answer) => answer,
                Err(error) => {
                    return ProbeOutcome::Unhealthy(format!("{url}: {}", chain(&*error)));
                }
            };
            let status = answer.status;
            if status.is_success() {
                return ProbeOutcome::Healthy(format!("HTTP {status}"));
            }
            if !status.is_redirection() {
                let separator = if answer.line.is_empty() { "" } else { ": " };
                let line = answer.line;
                return ProbeOutcome::Unhealthy(format!("HTTP {status}{separator}{line}"));
            }
            match answer.location.map(|location| follow(&target, &location)) {
                None => return ProbeOutcome::Healthy(format!("HTTP {status}")),
                Some(Hop::Local(next)) => target = next,
                Some(Hop::Elsewhere(location)) => {
                    return ProbeOutcome::Healthy(format!(
                        "HTTP {status}, warning: the redirect to {location} was not followed"
                    ));
                }
            }
        }
        ProbeOutcome::Unhealthy(format!("{url}: more than {REDIRECTS} redirects"))
    }

    /// One request, over the kept connection if it still works, else over a new one.
    async fn get(&self, service: &str, target: &Target) -> Result<Answer, BoxError> {
        let key = target.key();
        if let Some(mut kept) = self.kept.take(service, key)
            && let Ok(answer) = kept.get(target).await
        {
            self.keep(service, key, kept);
            return Ok(answer);
        }
        let mut fresh = Connection::open(target).await?;
        let answer = fresh.get(target).await?;
        self.keep(service, key, fresh);
        Ok(answer)
    }

    fn keep(&self, service: &str, key: &str, connection: Connection) {
        if connection.is_usable() {
            self.kept.put(service, key, connection);
        }
    }
}

/// What matters of a response.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    location: Option<String>,
    /// First line of the body, shortened.
    line: String,
    /// Whether the body was read to its end.
    whole: bool,
}

struct Connection {
    sender: http1::SendRequest<Empty<Bytes>>,
    /// Does the work, where and when it is polled; `None` once it has ended.
    driver: Option<Box<http1::Connection<TokioIo<Stream>, Empty<Bytes>>>>,
    whole: bool,
}

impl Connection {
    async fn open(target: &Target) -> Result<Self, BoxError> {
        let stream = match target {
            Target::Tcp { connect, .. } => {
                let stream = TcpStream::connect(connect).await?;
                stream.set_nodelay(true)?;
                Either::Left(stream)
            }
            Target::Unix { socket, .. } => Either::Right(UnixStream::connect(socket).await?),
        };
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(BODY)
            .handshake(TokioIo::new(stream))
            .await?;
        Ok(Self {
            sender,
            driver: Some(Box::new(driver)),
            whole: true,
        })
    }

    fn is_usable(&self) -> bool {
        self.whole && self.driver.is_some() && !self.sender.is_closed()
    }

    async fn get(&mut self, target: &Target) -> Result<Answer, BoxError> {
        let request = Request::get(target.path())
            .header(HOST, target.host())
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, "*/*")
            .body(Empty::new())?;
        let sender = &mut self.sender;
        let exchange = async move {
            sender.ready().await?;
            receive(sender.send_request(request).await?).await
        };
        tokio::pin!(exchange);
        let result = if let Some(driver) = &mut self.driver {
            tokio::select! {
                result = &mut exchange => result,
                ended = driver => {
                    self.driver = None;
                    // What has arrived before the end can still be read.
                    match (exchange.await, ended) {
                        (Err(_), Err(error)) => Err(error),
                        (result, _) => result,
                    }
                }
            }
        } else {
            exchange.await
        };
        let answer = result?;
        self.whole = answer.whole;
        Ok(answer)
    }
}

async fn receive(response: hyper::Response<Incoming>) -> Result<Answer, hyper::Error> {
    let status = response.status();
    let location = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let mut body = response.into_body();
    let mut length = 0;
    let mut start = Vec::new();
    while length < BODY
        && let Some(frame) = body.frame().await
    {
        if let Some(data) = frame?.data_ref() {
            length += data.len();
            start.extend(data.iter().take(1024_usize.saturating_sub(start.len())));
        }
    }
    let text = String::from_utf8_lossy(&start);
    Ok(Answer {
        status,
        location,
        line: short_line(text.lines().next().unwrap_or("").trim()),
        whole: length < BODY,
    })
}

/// An error with its sources, which hyper does not repeat in its own text.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Reads the URI of `http` only: the one scheme that this version speaks.
fn http_uri(url: &str) -> Result<Uri, String> {
    let uri: Uri = url
        .parse()
        .map_err(|error| format!("URL {url:?}: {error}"))?;
    match uri.scheme_str() {
        Some("http") => Ok(uri),
        Some("https") => Err(format!(
            "URL {url:?}: https is not supported yet, expected http://host:port/path or unix:PATH:/path"
        )),
        Some(_) | None => Err(format!(
            "URL {url:?}: expected http://host:port/path or unix:PATH:/path"
        )),
    }
}
