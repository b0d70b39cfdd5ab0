//! `[groups.X]`: services that are restarted together.

use std::collections::BTreeMap;

use gladsheim_core::GroupStrategy;

use super::{name, reader::Field};

pub(super) fn read(field: Field<'_>) -> BTreeMap<String, GroupStrategy> {
    let mut groups = BTreeMap::new();
    for entry in field.entries() {
        entry.check_name(name::check);
        if let Some(mut table) = entry.field.table(format!("[groups.{}]", entry.name)) {
            let known = GroupStrategy::ALL.map(|strategy| (strategy.as_str(), strategy));
            let strategy = table.field("strategy").one_of(&known);
            groups.insert(entry.name.to_owned(), strategy.or_default());
        }
    }
    groups
}
