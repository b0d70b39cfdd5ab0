//! Keys of the contract that this version reads and checks, but does not act on yet. To ignore them would
//! change what the user relies on, so they are errors until the day their line is deleted here.

use toml::de::{DeTable, DeValue};

use super::report::Report;

/// One such key.
struct Unsupported {
    /// Its path; `*` stands for any one name.
    path: &'static [&'static str],
    /// Whether a value asks for it; `false`, say, does not.
    is_asked: fn(&DeValue<'_>) -> bool,
    /// What would be missing.
    what: &'static str,
}

const UNSUPPORTED: [Unsupported; 1] = [Unsupported {
    path: &["metrics"],
    is_asked: |_| true,
    what: "serving metrics",
}];

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
            value if rest.is_empty() && (key.is_asked)(value) => {
                let message = format!("{name}: {} is not supported by this version yet", key.what);
                report.error(&name.span(), message);
            }
            _ => {}
        }
    }
}
