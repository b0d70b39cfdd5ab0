//! Whom the file system lets as far as the socket. What they may do there is decided for each call.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::Path,
};

use crate::{daemon::peer::is_own_group, hall::Grants};

/// Root's own folder for sockets; the only one that is opened to others although it was there before.
const ROOTS_FOLDER: &str = "/run/gladsheim";
/// Others may pass through a folder, and not see what is in it.
const PASSABLE: u32 = 0o711;

/// Who may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::daemon) enum Audience {
    /// The daemon's own user, and root. 0600.
    Owner,
    /// One group besides. 0660.
    Group(u32),
    /// Whoever comes. 0666.
    Everybody,
}

impl Audience {
    /// The smallest that has everybody who is named.
    pub(in crate::daemon) fn of(grants: &Grants) -> Self {
        Self::choose(grants, is_own_group)
    }

    fn choose(grants: &Grants, may_give_to: impl Fn(u32) -> bool) -> Self {
        let mut groups = grants.groups.keys();
        match (grants.users.is_empty(), groups.next(), groups.next()) {
            (true, None, _) => Self::Owner,
            (true, Some(gid), None) if may_give_to(*gid) => Self::Group(*gid),
            _ => Self::Everybody,
        }
    }

    /// Gives a socket the right group and mode; the group first, so that it is never open to the one before.
    pub(super) fn apply(self, socket: &Path) -> io::Result<()> {
        let mode = match self {
            Self::Owner => 0o600,
            Self::Group(gid) => {
                chown(socket, None, Some(gid))?;
                0o660
            }
            Self::Everybody => 0o666,
        };
        fs::set_permissions(socket, Permissions::from_mode(mode))
    }

    /// Sees to it that others come through the socket's folder, if it is ours to open; else says that they do not.
    pub(super) fn open_folder(self, folder: &Path, is_new: bool) -> io::Result<()> {
        let mode = fs::metadata(folder)?.mode() & 0o777;
        if self == Self::Owner || mode & 0o001 != 0 {
            return Ok(());
        }
        if is_new || folder == Path::new(ROOTS_FOLDER) {
            return fs::set_permissions(folder, Permissions::from_mode(PASSABLE | mode));
        }
        tracing::warn!(
            folder = %folder.display(),
            "others, whom `[access]` names, cannot pass through the socket's folder (mode {mode:04o}): open it to \
             them, or name another `socket`"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hall::Role;

    fn grants(users: &[u32], groups: &[u32]) -> Grants {
        Grants {
            users: users.iter().map(|uid| (*uid, Role::Read)).collect(),
            groups: groups.iter().map(|gid| (*gid, Role::Read)).collect(),
            certificates: [("somebody".to_owned(), Role::Control)].into(),
        }
    }

    #[test]
    fn the_socket_is_open_to_nobody_who_need_not_come() {
        let choose = |users: &[u32], groups: &[u32]| {
            Audience::choose(&grants(users, groups), |gid| gid < 100)
        };
        assert_eq!(choose(&[], &[]), Audience::Owner);
        assert_eq!(choose(&[], &[50]), Audience::Group(50));
        assert_eq!(choose(&[], &[100]), Audience::Everybody);
        assert_eq!(choose(&[], &[50, 60]), Audience::Everybody);
        assert_eq!(choose(&[1], &[]), Audience::Everybody);
        assert_eq!(choose(&[1], &[50]), Audience::Everybody);
    }

    #[test]
    fn a_folder_that_we_have_made_is_opened_and_another_one_is_left() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        let mode = || folder.path().metadata().unwrap().mode() & 0o777;
        for (audience, is_new, expected) in [
            (Audience::Owner, true, 0o700),
            (Audience::Everybody, false, 0o700),
            (Audience::Group(1), true, 0o711),
        ] {
            audience.open_folder(folder.path(), is_new).unwrap();
            assert_eq!(mode(), expected, "{audience:?} {is_new}");
        }
    }
}
