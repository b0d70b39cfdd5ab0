//! Free ports on loopback.

use std::net::{Ipv4Addr, TcpListener};

/// A port that was free a moment ago. The kernel hands ports out in turn, so two tests hardly ever get
/// the same one.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("a port is free")
        .port()
}
