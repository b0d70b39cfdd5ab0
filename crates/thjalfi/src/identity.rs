//! Whom a service runs as: users and groups by name or number, resolved before anything is started.

use std::{ffi::CString, io};

use nix::unistd::{self, Gid, Group, Uid, User};

use crate::error::{SpawnError, Stage};

/// A user with its group and supplementary groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups, the group itself among them.
    pub groups: Vec<u32>,
}

impl Identity {
    /// Looks up the names; `None` if nothing has to be switched.
    pub(crate) fn resolve(
        user: Option<&str>,
        group: Option<&str>,
    ) -> Result<Option<Self>, SpawnError> {
        let user = user.map(find_user).transpose()?;
        let group = group.map(find_group).transpose()?;
        let (own_uid, own_gid) = (unistd::geteuid(), unistd::getegid());
        let uid = user.as_ref().map_or(own_uid, |user| user.uid);
        let gid = group
            .or(user.as_ref().map(|user| user.gid))
            .unwrap_or(own_gid);
        if (uid, gid) == (own_uid, own_gid) {
            return Ok(None);
        }
        let groups = match user.as_ref().and_then(|user| user.name.as_ref()) {
            Some(name) => unistd::getgrouplist(name, gid).map_err(|errno| {
                SpawnError::new(
                    Stage::Initgroups,
                    name.to_string_lossy().into_owned(),
                    errno.into(),
                )
            })?,
            None => vec![gid],
        };
        Ok(Some(Self {
            uid: uid.as_raw(),
            gid: gid.as_raw(),
            groups: groups.into_iter().map(Gid::as_raw).collect(),
        }))
    }
}

struct FoundUser {
    name: Option<CString>,
    uid: Uid,
    gid: Gid,
}

fn find_user(text: &str) -> Result<FoundUser, SpawnError> {
    let number = text.parse().ok().map(Uid::from_raw);
    let found = match number {
        Some(uid) => User::from_uid(uid),
        None => User::from_name(text),
    };
    let failed = |source| SpawnError::new(Stage::User, text.to_owned(), source);
    match (found.map_err(|errno| failed(errno.into()))?, number) {
        (Some(user), _) => Ok(FoundUser {
            name: CString::new(user.name).ok(),
            uid: user.uid,
            gid: user.gid,
        }),
        // A number without an entry is a user as well, with the group of the same number.
        (None, Some(uid)) => Ok(FoundUser {
            name: None,
            uid,
            gid: Gid::from_raw(uid.as_raw()),
        }),
        (None, None) => Err(failed(io::Error::new(
            io::ErrorKind::NotFound,
            "no such user",
        ))),
    }
}

fn find_group(text: &str) -> Result<Gid, SpawnError> {
    if let Ok(number) = text.parse() {
        return Ok(Gid::from_raw(number));
    }
    let failed = |source| SpawnError::new(Stage::Group, text.to_owned(), source);
    match Group::from_name(text).map_err(|errno| failed(errno.into()))? {
        Some(group) => Ok(group.gid),
        None => Err(failed(io::Error::new(
            io::ErrorKind::NotFound,
            "no such group",
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::Identity;

    #[test]
    fn unknown_names_say_which_one_is_unknown() {
        let error = Identity::resolve(Some("no-such-user"), None).unwrap_err();
        assert_eq!(error.to_string(), "user no-such-user: no such user");
        let error = Identity::resolve(None, Some("no-such-group")).unwrap_err();
        assert_eq!(error.to_string(), "group no-such-group: no such group");
    }

    #[test]
    fn the_daemons_own_user_needs_no_switch() {
        let uid = nix::unistd::geteuid().to_string();
        let gid = nix::unistd::getegid().to_string();
        assert_eq!(Identity::resolve(Some(&uid), Some(&gid)).unwrap(), None);
    }
}
