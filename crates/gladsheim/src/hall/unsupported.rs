//! Keys of the contract that this version reads and checks, but does not act on yet. To ignore them would
//! change what the user relies on, so they are errors until the day their line is deleted here.

use toml::de::{DeTable, DeValue};

use super::report::Report;

/// One such key.
struct Unsupported {
    /// Its path; `*` stands for any one name.
    path: &'static [&'static str],
    /// The value with which nothing is asked for: `false`, `[]`, or a word.
    harmless: Option<&'static str>,
    /// What would be missing.
    what: &'static str,
}

const UNSUPPORTED: [Unsupported; 6] = [
    Unsupported {
        path: &["metrics"],
        harmless: None,
        what: "metrics",
    },
    Unsupported {
        path: &["on_file_change"],
        harmless: Some("false"),
        what: "reloading by itself",
    },
    Unsupported {
        path: &["access", "read"],
        harmless: Some("[]"),
        what: "access for others",
    },
    Unsupported {
        path: &["access", "control"],
        harmless: Some("[]"),
        what: "access for others",
    },
    Unsupported {
        path: &["services", "*", "sockets"],
        harmless: Some("[]"),
        what: "passing sockets to services",
    },
    Unsupported {
        path: &["groups", "*", "strategy"],
        harmless: Some("one_for_one"),
        what: "restarting services together",
    },
];

/// Reports all of them that a document uses.
pub(super) fn check(document: &DeTable<'_>, report: &Report<'_>) {
    for key in &UNSUPPORTED {
        check_below(document, key.path, key, report);
    }
}

fn check_below(table: &DeTable<'_>, path: &[&str], key: &Unsupported, report: &Report<'_>) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    for (name, value) in table
        .iter()
        .filter(|(name, _)| *first == "*" || *first == name.get_ref())
    {
        match value.get_ref() {
            DeValue::Table(table) => check_below(table, rest, key, report),
            value
                if rest.is_empty() && key.harmless.is_none_or(|harmless| !is(value, harmless)) =>
            {
                let message = format!("{name}: {} is not supported by this version yet", key.what);
                report.error(&name.span(), message);
            }
            _ => {}
        }
    }
}

/// Whether a value is written like this.
fn is(value: &DeValue<'_>, written: &str) -> bool {
    match value {
        DeValue::Boolean(value) => value.to_string() == written,
        DeValue::String(value) => value == written,
        DeValue::Array(items) => items.is_empty() && written == "[]",
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => false,
    }
}
