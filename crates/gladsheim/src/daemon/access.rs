//! Who may call what: decided for each call, by what is known of the peer and what `[access]` says now.

use std::sync::{Arc, PoisonError, RwLock};

use gladsheim_proto::reason;
use nix::unistd::geteuid;
use tonic::{Code, Status};

use self::refusal::Refusals;
use super::peer::{Certified, Credentials, Peer};
use crate::hall::{Grants, Role};

mod policy;
mod refusal;

/// The daemon's door. A reload replaces what it grants; connections that are open already notice at their next call.
#[derive(Debug)]
pub(super) struct AccessControl {
    /// Guards the pointer only.
    grants: RwLock<Arc<Grants>>,
    own_uid: u32,
    refusals: Refusals,
}

impl AccessControl {
    /// For the user that this process runs as.
    pub(super) fn new(grants: Grants) -> Self {
        Self {
            grants: RwLock::new(Arc::new(grants)),
            own_uid: geteuid().as_raw(),
            refusals: Refusals::default(),
        }
    }

    /// What is granted now.
    pub(super) fn grants(&self) -> Arc<Grants> {
        Arc::clone(&self.grants.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From the next call on.
    pub(super) fn replace(&self, grants: Grants) {
        *self.grants.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(grants);
    }

    /// Whether a peer is the daemon's own user or root.
    pub(super) fn is_master(&self, peer: &Peer) -> bool {
        match peer {
            Peer::Local(Credentials { uid, .. }) => *uid == 0 || *uid == self.own_uid,
            Peer::Remote(_) => false,
        }
    }

    /// Lets the call of a method through, or says why not, to the caller and to the log.
    pub(super) fn check(&self, peer: &Peer, path: &str) -> Result<(), Status> {
        let needed = policy::needed(path);
        if self.is_master(peer) {
            return Ok(());
        }
        let held = role(peer, &self.grants());
        if held >= Some(needed) {
            return Ok(());
        }
        self.refusals.log(peer, path);
        let method = path.rsplit('/').next().unwrap_or_default();
        Err(reason::status(
            Code::PermissionDenied,
            reason::ACCESS_DENIED,
            format!(
                "{method} is not for {peer}, who may {}; `{} = […]` below `[access]` in the daemon's hall \
                 file lets somebody in",
                match held {
                    Some(Role::Read | Role::Control) => "only read",
                    None => "do nothing here",
                },
                match needed {
                    Role::Read => "read",
                    Role::Control => "control",
                },
            ),
        ))
    }

    /// Takes down that a peer was turned away before it could call anything.
    pub(super) fn turned_away(&self, peer: &str, why: &str) {
        self.refusals.log_connection(peer, why);
    }
}

/// The highest role that any of a peer's names has.
fn role(peer: &Peer, grants: &Grants) -> Option<Role> {
    match peer {
        Peer::Local(Credentials { uid, groups, .. }) => {
            let of_groups = groups.iter().filter_map(|gid| grants.groups.get(gid));
            of_groups.chain(grants.users.get(uid)).max().copied()
        }
        Peer::Remote(Certified { names, .. }) => names
            .iter()
            .filter_map(|name| grants.certificates.get(name))
            .max()
            .copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "/gladsheim.v1.GladsheimService/StartService";
    const LIST: &str = "/gladsheim.v1.GladsheimService/ListServices";

    fn control(grants: Grants) -> AccessControl {
        AccessControl {
            own_uid: 1000,
            ..AccessControl::new(grants)
        }
    }

    fn local(uid: u32, groups: &[u32]) -> Peer {
        Peer::Local(Credentials {
            uid,
            pid: None,
            groups: groups.to_vec(),
        })
    }

    fn remote(names: &[&str]) -> Peer {
        Peer::Remote(Certified {
            address: ([127, 0, 0, 1], 9).into(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        })
    }

    fn grants() -> Grants {
        Grants {
            users: [(1001, Role::Read)].into(),
            groups: [(50, Role::Read), (60, Role::Control)].into(),
            certificates: [("alice".to_owned(), Role::Control)].into(),
        }
    }

    #[tokio::test]
    async fn each_caller_may_do_what_its_best_name_may() {
        let access = control(grants());
        for (peer, may_list, may_start) in [
            (local(1000, &[1000]), true, true),
            (local(0, &[0]), true, true),
            (local(1001, &[1001]), true, false),
            (local(1002, &[1002, 50]), true, false),
            (local(1002, &[60]), true, true),
            (local(1001, &[1001, 50, 60]), true, true),
            (local(1002, &[1002]), false, false),
            (remote(&["alice"]), true, true),
            (remote(&["bob", "alice"]), true, true),
            (remote(&["bob"]), false, false),
            (remote(&[]), false, false),
        ] {
            assert_eq!(access.check(&peer, LIST).is_ok(), may_list, "{peer:?}");
            assert_eq!(access.check(&peer, START).is_ok(), may_start, "{peer:?}");
        }
    }

    #[tokio::test]
    async fn a_refusal_says_who_what_and_the_way_out() {
        let access = control(grants());
        let refusal = access.check(&local(1001, &[]), START).unwrap_err();
        assert_eq!(reason::of(&refusal), Some(reason::ACCESS_DENIED));
        for part in ["StartService", "uid 1001", "only read", "`control = […]`"] {
            assert!(refusal.message().contains(part), "{refusal}");
        }
        assert_eq!(refusal.code(), Code::PermissionDenied);
    }

    #[tokio::test]
    async fn what_is_granted_can_be_replaced() {
        let access = control(Grants::default());
        let bob = local(1001, &[1001]);
        assert!(access.check(&bob, LIST).is_err());
        access.replace(grants());
        assert!(access.check(&bob, LIST).is_ok());
    }
}
