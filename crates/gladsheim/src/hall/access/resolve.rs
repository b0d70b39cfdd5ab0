//! Names of users and groups as the numbers that the kernel tells of a caller.

use std::collections::HashMap;

use nix::unistd::{Group, User};

use super::{
    super::{Diagnostic, Hall, HallError, Severity},
    Access, Grantee, Principal,
};

/// What somebody may do. A role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// May ask.
    Read,
    /// May ask and act.
    Control,
}

/// `[access]` with names looked up: the highest role of each user, group and certificate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    /// By uid.
    pub users: HashMap<u32, Role>,
    /// By gid.
    pub groups: HashMap<u32, Role>,
    /// By name in the certificate.
    pub certificates: HashMap<String, Role>,
}

impl Grants {
    /// Whether anybody is named who would come by the unix socket.
    pub fn names_local_callers(&self) -> bool {
        !self.users.is_empty() || !self.groups.is_empty()
    }
}

/// A number, or why there is none.
type Lookup = fn(&str) -> Result<Option<u32>, nix::Error>;

impl Hall {
    /// Looks up whom `[access]` names. Reads the user database; blocks for as long as that takes.
    ///
    /// # Errors
    ///
    /// A user or group that does not exist, or cannot be looked up: all of them, each with its place.
    pub fn grants(&self) -> Result<Grants, HallError> {
        resolve(&self.access, user, group).map_err(|complaints| HallError {
            diagnostics: complaints
                .into_iter()
                .map(|(grantee, message)| Diagnostic {
                    file: self.file.clone(),
                    position: Some(grantee.position),
                    message,
                    severity: Severity::Error,
                })
                .collect(),
        })
    }
}

fn resolve(
    access: &Access,
    user: Lookup,
    group: Lookup,
) -> Result<Grants, Vec<(&Grantee, String)>> {
    let mut grants = Grants::default();
    let mut complaints = Vec::new();
    let lists = [
        ("read", &access.read, Role::Read),
        ("control", &access.control, Role::Control),
    ];
    for (key, grantees, role) in lists {
        for grantee in grantees {
            let found = match &grantee.principal {
                Principal::User(name) => number("user", name, user).map(|uid| {
                    raise(&mut grants.users, uid, role);
                }),
                Principal::Group(name) => number("group", name, group).map(|gid| {
                    raise(&mut grants.groups, gid, role);
                }),
                Principal::Certificate(name) => {
                    raise(&mut grants.certificates, name.clone(), role);
                    Ok(())
                }
            };
            if let Err(message) = found {
                complaints.push((grantee, format!("{key}: {message}")));
            }
        }
    }
    if complaints.is_empty() {
        Ok(grants)
    } else {
        complaints.sort_by_key(|(grantee, _)| grantee.position);
        Err(complaints)
    }
}

fn raise<K: Eq + std::hash::Hash>(roles: &mut HashMap<K, Role>, key: K, role: Role) {
    let held = roles.entry(key).or_insert(role);
    *held = role.max(*held);
}

/// A number stands for itself: nobody need have an account with it.
fn number(kind: &str, name: &str, look_up: Lookup) -> Result<u32, String> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    match look_up(name) {
        Ok(Some(number)) => Ok(number),
        Ok(None) => Err(format!("there is no {kind} {name:?}")),
        Err(error) => Err(format!(
            "{kind} {name:?} could not be looked up ({error}); its number works without"
        )),
    }
}

fn user(name: &str) -> nix::Result<Option<u32>> {
    Ok(User::from_name(name)?.map(|user| user.uid.as_raw()))
}

fn group(name: &str) -> nix::Result<Option<u32>> {
    Ok(Group::from_name(name)?.map(|group| group.gid.as_raw()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hall::Position;

    fn grantee(line: usize, principal: Principal) -> Grantee {
        let position = Position { line, column: 1 };
        Grantee {
            principal,
            position,
        }
    }

    fn somebody(name: &str) -> nix::Result<Option<u32>> {
        match name {
            "alice" => Ok(Some(1000)),
            "ops" => Ok(Some(50)),
            "broken" => Err(nix::Error::EIO),
            _ => Ok(None),
        }
    }

    #[test]
    fn names_and_numbers_become_numbers_and_the_higher_role_counts() {
        let access = Access {
            read: vec![
                grantee(1, Principal::User("alice".into())),
                grantee(1, Principal::Group("ops".into())),
                grantee(1, Principal::Certificate("alice".into())),
            ],
            control: vec![grantee(2, Principal::User("1000".into()))],
        };
        let grants = resolve(&access, somebody, somebody).unwrap();
        assert_eq!(grants.users, HashMap::from([(1000, Role::Control)]));
        assert_eq!(grants.groups, HashMap::from([(50, Role::Read)]));
        assert_eq!(
            grants.certificates,
            HashMap::from([("alice".into(), Role::Read)])
        );
    }

    #[test]
    fn everybody_who_is_not_there_is_named_in_the_order_of_the_file() {
        let access = Access {
            read: vec![grantee(9, Principal::Group("broken".into()))],
            control: vec![grantee(2, Principal::User("bob".into()))],
        };
        let complaints = resolve(&access, somebody, somebody).unwrap_err();
        let texts: Vec<_> = complaints.iter().map(|(_, text)| &**text).collect();
        assert_eq!(
            texts,
            [
                "control: there is no user \"bob\"",
                "read: group \"broken\" could not be looked up (EIO: I/O error); its number works without"
            ]
        );
    }
}
