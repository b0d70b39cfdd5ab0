//! Refusals in the log: who wanted what. Bounded, so that whoever is refused cannot fill a disk with it.

use std::sync::{Mutex, PoisonError};

use nix::unistd::{Gid, Group, Uid, User};
use tokio::{task::spawn_blocking, time::Instant};

use crate::daemon::peer::{Certified, Credentials, Peer};

/// So many lines at once, and then one a second.
const BURST: u64 = 20;

/// Logs refusals.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Guards the count only.
    bucket: Mutex<Bucket>,
}

impl Refusals {
    /// A call that was refused. Needs a runtime: names are looked up beside it, for that may take a while.
    pub(super) fn log(&self, peer: &Peer, path: &str) {
        let Some(unsaid) = self.take() else { return };
        let (peer, call) = (peer.clone(), path.trim_start_matches('/').to_owned());
        // Runs to its end by itself.
        drop(spawn_blocking(move || match peer {
            Peer::Local(Credentials { uid, pid, groups }) => {
                let (user, groups) = (user_name(uid), group_names(&groups));
                tracing::warn!(
                    call,
                    uid,
                    user,
                    groups,
                    pid,
                    unsaid,
                    "a call was refused: `[access]` does not let the caller in"
                );
            }
            Peer::Remote(Certified { address, names }) => tracing::warn!(
                call,
                %address,
                certificate = names.join(","),
                unsaid,
                "a call was refused: `[access]` does not let the caller in"
            ),
        }));
    }

    /// A connection that was closed before anything was called.
    pub(super) fn log_connection(&self, peer: &str, why: &str) {
        if let Some(unsaid) = self.take() {
            tracing::warn!(peer, unsaid, "a connection was refused: {why}");
        }
    }

    fn take(&self) -> Option<u64> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.take(Instant::now())
    }
}

/// How many lines may still be written.
#[derive(Debug)]
struct Bucket {
    left: u64,
    /// When it was last filled.
    filled: Option<Instant>,
    /// Refused and not told since the last line.
    unsaid: u64,
}

impl Default for Bucket {
    fn default() -> Self {
        Self {
            left: BURST,
            filled: None,
            unsaid: 0,
        }
    }
}

impl Bucket {
    /// Whether a line may be written now, and how many were not since the last one.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let since = now - *self.filled.get_or_insert(now);
        if since.as_secs() > 0 {
            self.left = BURST.min(self.left + since.as_secs());
            self.filled = Some(now);
        }
        if self.left == 0 {
            self.unsaid += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.unsaid))
    }
}

fn user_name(uid: u32) -> Option<String> {
    let user = User::from_uid(Uid::from_raw(uid)).ok()??;
    Some(user.name)
}

/// Numbers with their names, where they have one: `100(users),50`.
fn group_names(groups: &[u32]) -> String {
    let named = groups.iter().map(|gid| {
        match Group::from_gid(Gid::from_raw(*gid)) {
            Ok(Some(group)) => format!("{gid}({})", group.name),
            // One without a name, or one that could not be looked up, still has its number.
            Ok(None) | Err(_) => gid.to_string(),
        }
    });
    named.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_is_counted_and_not_told() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        for _ in 0..BURST {
            assert_eq!(bucket.take(start), Some(0));
        }
        for _ in 0..1000 {
            assert_eq!(bucket.take(start), None);
        }
        let later = start + Duration::from_secs(1);
        assert_eq!(bucket.take(later), Some(1000));
        assert_eq!(bucket.take(later), None);
        assert_eq!(bucket.take(later + Duration::from_secs(3600)), Some(1));
    }
}
