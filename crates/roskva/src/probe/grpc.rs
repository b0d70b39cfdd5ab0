//! gRPC check: `grpc.health.v1.Health/Check`; only SERVING is healthy.
//!
//! The channel is kept from one check to the next, as long as the server answers. `Watch` streams
//! (see `watch`) go over the same channel.

use std::{error::Error, io};

use tonic::{
    Code, Status, Streaming,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};

use crate::probe::{ProbeOutcome, kept::Kept, tail::short_line, tcp};

pub(crate) fn validate(address: &str) -> Result<(), String> {
    endpoint(address).map(drop)
}

fn endpoint(address: &str) -> Result<Endpoint, String> {
    let wrong = || format!("gRPC address {address:?}: expected host:port or unix:PATH");
    let uri = match address.strip_prefix("unix:") {
        Some(path) if path.trim_start_matches('/').is_empty() => return Err(wrong()),
        Some(_) => address.to_owned(),
        None if address.starts_with("https://") => {
            return Err(format!("{}; https is not supported yet", wrong()));
        }
        None => {
            let plain = address.strip_prefix("http://").unwrap_or(address);
            tcp::validate(plain).map_err(|_| wrong())?;
            format!("http://{plain}")
        }
    };
    Endpoint::from_shared(uri)
        .map(|endpoint| endpoint.buffer_size(4))
        .map_err(|_| wrong())
}

#[derive(Debug, Default)]
pub(crate) struct GrpcProbe {
    kept: Kept<Channel>,
}

impl GrpcProbe {
    pub(crate) fn forget(&self, service: &str) {
        self.kept.forget(service);
    }

    /// Asks the server at `address` for the health of `asked`.
    pub(crate) async fn check(&self, service: &str, address: &str, asked: &str) -> ProbeOutcome {
        match self.ask(service, address, asked).await {
            Ok(Ok(status)) => outcome(status),
            Ok(Err(status)) => ProbeOutcome::Unhealthy(describe(&status, address, asked)),
            Err(text) => ProbeOutcome::Unhealthy(text),
        }
    }

    /// Opens a stream of verdicts over the channel that the last check has kept.
    pub(crate) async fn watch(
        &self,
        service: &str,
        address: &str,
        asked: &str,
    ) -> Result<Watching, WatchEnd> {
        let channel = self.kept.get(service, address).ok_or(WatchEnd::Broken)?;
        let request = HealthCheckRequest {
            service: asked.to_owned(),
        };
        match HealthClient::new(channel).watch(request).await {
            Ok(response) => Ok(Watching(response.into_inner())),
            Err(status) => Err(watch_end(&status)),
        }
    }

    async fn ask(&self, service: &str, address: &str, asked: &str) -> Result<Answer, String> {
        let kept = self.kept.take(service, address);
        let reused = kept.is_some();
        let mut channel = match kept {
            Some(channel) => channel,
            None => endpoint(address)?.connect_lazy(),
        };
        let mut answer = ask(&channel, asked).await;
        if reused && is_broken(&answer) {
            // It may have died with an earlier server.
            channel = endpoint(address)?.connect_lazy();
            answer = ask(&channel, asked).await;
        }
        if !is_broken(&answer) {
            self.kept.put(service, address, channel);
        }
        Ok(answer)
    }
}

/// A stream of verdicts; dropping it ends the call.
#[derive(Debug)]
pub(crate) struct Watching(Streaming<HealthCheckResponse>);

impl Watching {
    /// The next verdict; the server sends the present one first.
    pub(crate) async fn next(&mut self) -> Result<ProbeOutcome, WatchEnd> {
        match self.0.message().await {
            Ok(Some(response)) => Ok(outcome(response.status())),
            Ok(None) => Err(WatchEnd::Broken),
            Err(status) => Err(watch_end(&status)),
        }
    }
}

/// Why there is no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WatchEnd {
    /// The server does not offer any.
    Unoffered,
    /// It ended; another may be opened.
    Broken,
}

fn watch_end(status: &Status) -> WatchEnd {
    match status.code() {
        Code::Unimplemented => WatchEnd::Unoffered,
        _ => WatchEnd::Broken,
    }
}

fn outcome(status: ServingStatus) -> ProbeOutcome {
    match status {
        ServingStatus::Serving => ProbeOutcome::Healthy("SERVING".to_owned()),
        other => ProbeOutcome::Unhealthy(other.as_str_name().to_owned()),
    }
}

type Answer = Result<ServingStatus, Status>;

async fn ask(channel: &Channel, asked: &str) -> Answer {
    let request = HealthCheckRequest {
        service: asked.to_owned(),
    };
    let response = HealthClient::new(channel.clone()).check(request).await?;
    Ok(response.into_inner().status())
}

/// Whether the trouble may lie in the connection and not in the service.
fn is_broken(answer: &Answer) -> bool {
    // What a server said has no source; what went wrong on the way has one.
    answer
        .as_ref()
        .is_err_and(|status| status.source().is_some())
}

fn describe(status: &Status, address: &str, asked: &str) -> String {
    let io = std::iter::successors(status.source(), |error| (*error).source())
        .find_map(|error| error.downcast_ref::<io::Error>());
    if let Some(error) = io {
        return format!("{address}: {error}");
    }
    match status.code() {
        Code::NotFound => format!("SERVICE_UNKNOWN: the server knows no service {asked:?}"),
        Code::Unimplemented => {
            "UNIMPLEMENTED: the server does not offer grpc.health.v1.Health".to_owned()
        }
        code => short_line(&format!("{address}: {code:?}: {}", status.message())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        for address in [
            "127.0.0.1:50051",
            "localhost:1",
            "http://[::1]:50051",
            "unix:/run/a.sock",
        ] {
            assert_eq!(validate(address), Ok(()), "{address}");
        }
        for address in [
            "",
            "localhost",
            "https://localhost:1",
            "unix:",
            "unix://",
            "local host:1",
            "a/b:1",
        ] {
            assert!(validate(address).is_err(), "{address}");
        }
    }
}
