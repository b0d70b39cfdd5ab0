//! `[access]`: who else may look and act.

use super::reader::Field;

/// Who may do what beyond the daemon's own user and root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// May ask.
    pub read: Vec<Principal>,
    /// May ask and act.
    pub control: Vec<Principal>,
}

/// A user or a group, by name or number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Principal {
    /// `user:NAME`.
    User(String),
    /// `group:NAME`.
    Group(String),
}

pub(super) fn read(field: Field<'_>) -> Access {
    let Some(mut table) = field.table("[access]") else {
        return Access::default();
    };
    let mut principals = |key| {
        table
            .field(key)
            .list(|item| item.text().then(principal))
            .or_default()
    };
    Access {
        read: principals("read"),
        control: principals("control"),
    }
}

fn principal(text: &str) -> Result<Principal, String> {
    match text.split_once(':') {
        Some(("user", name)) if !name.is_empty() => Ok(Principal::User(name.to_owned())),
        Some(("group", name)) if !name.is_empty() => Ok(Principal::Group(name.to_owned())),
        _ => Err(format!(
            "expected \"user:NAME\" or \"group:NAME\", found {text:?}"
        )),
    }
}
