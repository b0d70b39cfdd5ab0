//! Who may call: decided for each call by the credentials of the socket's peer.

use gladsheim_proto::reason;
use nix::unistd::geteuid;
use tonic::{Code, Request, Status, transport::server::UdsConnectInfo};

/// Lets the daemon's own user and root in, and nobody else. A tonic interceptor for all services.
pub(super) fn check(request: Request<()>) -> Result<Request<()>, Status> {
    let peer = request
        .extensions()
        .get::<UdsConnectInfo>()
        .and_then(|connection| connection.peer_cred);
    match peer {
        Some(peer) if may_call(peer.uid(), geteuid().as_raw()) => Ok(request),
        peer => {
            let (uid, pid) = (
                peer.map(|peer| peer.uid()),
                peer.and_then(|peer| peer.pid()),
            );
            tracing::warn!(
                ?uid,
                ?pid,
                "a call was refused: neither the daemon's user nor root"
            );
            Err(reason::status(
                Code::PermissionDenied,
                reason::ACCESS_DENIED,
                "only the daemon's own user and root may call this daemon",
            ))
        }
    }
}

fn may_call(uid: u32, own: u32) -> bool {
    uid == own || uid == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_daemons_own_user_and_root_may_call() {
        assert!(may_call(1000, 1000));
        assert!(may_call(0, 1000));
        assert!(!may_call(1001, 1000));
        assert!(!may_call(1000, 0));
    }

    #[test]
    fn a_call_without_credentials_is_refused() {
        let refusal = check(Request::new(())).unwrap_err();
        assert_eq!(reason::of(&refusal), Some(reason::ACCESS_DENIED));
    }
}
