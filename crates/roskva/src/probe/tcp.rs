//! TCP check: healthy if a connection is accepted.

use tokio::net::TcpStream;

use crate::probe::ProbeOutcome;

pub(crate) fn validate(address: &str) -> Result<(), String> {
    let wrong = || format!("TCP address {address:?}: expected host:port");
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    match port.parse::<u16>() {
        Ok(port) if port != 0 && !host.is_empty() && !host.contains(['/', ' ', '@']) => Ok(()),
        Ok(_) | Err(_) => Err(wrong()),
    }
}

pub(crate) async fn check(address: &str) -> ProbeOutcome {
    match TcpStream::connect(address).await {
        Ok(_) => ProbeOutcome::Healthy(format!("{address} accepts connections")),
        Err(error) => ProbeOutcome::Unhealthy(format!("{address}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_need_host_and_port() {
        for address in ["127.0.0.1:80", "localhost:8080", "[::1]:80"] {
            assert_eq!(validate(address), Ok(()), "{address}");
        }
        for address in [
            "",
            "localhost",
            ":80",
            "localhost:",
            "localhost:0",
            "localhost:99999",
            "a/b:1",
            "a b:1",
        ] {
            assert!(validate(address).is_err(), "{address}");
        }
    }
}
