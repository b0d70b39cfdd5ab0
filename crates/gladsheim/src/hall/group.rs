//! `[groups.X]`: services that are restarted together.

use std::collections::BTreeMap;

use super::{name, reader::Field};

/// Who is restarted when one service of a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum GroupStrategy {
    /// Only that one.
    #[default]
    OneForOne,
    /// That one and those listed after it.
    RestForOne,
    /// All of the group.
    OneForAll,
}

pub(super) fn read(field: Field<'_>) -> BTreeMap<String, GroupStrategy> {
    let mut groups = BTreeMap::new();
    for entry in field.entries() {
        entry.check_name(name::check);
        if let Some(mut table) = entry.field.table(format!("[groups.{}]", entry.name)) {
            let strategy = table.field("strategy").one_of(&[
                ("one_for_one", GroupStrategy::OneForOne),
                ("rest_for_one", GroupStrategy::RestForOne),
                ("one_for_all", GroupStrategy::OneForAll),
            ]);
            groups.insert(entry.name.to_owned(), strategy.or_default());
        }
    }
    groups
}
