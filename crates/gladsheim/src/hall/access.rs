//! `[access]`: who else may look and act.

use super::{diagnostic::Position, reader::Field};

mod resolve;

pub use self::resolve::{Grants, Role};

/// Who may do what beyond the daemon's own user and root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// May ask.
    pub read: Vec<Grantee>,
    /// May ask and act.
    pub control: Vec<Grantee>,
}

/// Somebody who is named, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grantee {
    /// Who.
    pub principal: Principal,
    /// Where the hall file says so.
    pub position: Position,
}

/// Somebody who may call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Principal {
    /// `user:NAME` or `user:UID`.
    User(String),
    /// `group:NAME` or `group:GID`, the caller's own or a supplementary one.
    Group(String),
    /// `cert:NAME`: the common name, or an alternative name, of a client certificate.
    Certificate(String),
}

pub(super) fn read(field: Field<'_>) -> Access {
    let Some(mut table) = field.table("[access]") else {
        return Access::default();
    };
    let mut grantees = |key| {
        table
            .field(key)
            .list(|item| item.text().then(principal).placed())
            .or_default()
            .into_iter()
            .map(|(principal, position)| Grantee {
                principal,
                position,
            })
            .collect()
    };
    Access {
        read: grantees("read"),
        control: grantees("control"),
    }
}

fn principal(text: &str) -> Result<Principal, String> {
    let (kind, name) = text.split_once(':').unwrap_or(("", text));
    let of_kind = match kind {
        "user" => Principal::User,
        "group" => Principal::Group,
        "cert" => Principal::Certificate,
        _ => {
            return Err(format!(
                "expected \"user:NAME\", \"group:NAME\" or \"cert:NAME\", found {text:?}"
            ));
        }
    };
    if name.is_empty() {
        return Err(format!("the name is missing in {text:?}"));
    }
    Ok(of_kind(name.to_owned()))
}
