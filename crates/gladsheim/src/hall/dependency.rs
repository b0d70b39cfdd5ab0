//! `depends_on`: what must be there first; and whether the services can be put in an order at all.

use std::collections::HashMap;

use gladsheim_core::{Dependency, DependencyCondition};

use super::{
    name,
    reader::{Entry, Field},
    report::{Report, Span},
};

/// A dependency, and where the file names the service depended on.
pub(super) struct Edge {
    pub(super) dependency: Dependency,
    pub(super) span: Span,
}

/// Reads a list of names, or a table of names with conditions.
pub(super) fn read(field: Field<'_>) -> Vec<Edge> {
    if !field.is_table() {
        let names = field
            .items()
            .into_iter()
            .filter_map(|item| item.filled().located());
        return names
            .map(|(name, span)| Edge {
                dependency: Dependency {
                    service_name: name.to_owned(),
                    condition: DependencyCondition::Started,
                    required: true,
                },
                span,
            })
            .collect();
    }
    field.entries().into_iter().map(conditional).collect()
}

/// Reads `NAME = "healthy"` or `NAME = { condition = "healthy", required = false }`.
fn conditional(entry: Entry<'_>) -> Edge {
    let (condition, required) = if entry.field.is_table() {
        let table = entry.field.table(format!("`depends_on.{}`", entry.name));
        table.map_or_else(Default::default, |mut table| {
            (
                condition(table.field("condition")),
                table.field("required").boolean().or(true),
            )
        })
    } else {
        (condition(entry.field), true)
    };
    Edge {
        dependency: Dependency {
            service_name: entry.name.to_owned(),
            condition,
            required,
        },
        span: entry.span,
    }
}

fn condition(field: Field<'_>) -> DependencyCondition {
    field
        .one_of(&DependencyCondition::ALL.map(|condition| (condition.as_str(), condition)))
        .or_default()
}

/// Reports dependencies on services that do not exist, and cycles: one for each group of services that
/// are caught in them, told as a whole.
pub(super) fn check<'a>(services: &[(&'a str, &'a [Edge])], report: &Report<'_>) {
    let index_of: HashMap<_, _> = services
        .iter()
        .enumerate()
        .map(|(index, (name, _))| (*name, index))
        .collect();
    let edges: Vec<Vec<(usize, &Span)>> = services
        .iter()
        .map(|(service, edges)| {
            let known = edges.iter().filter_map(|edge| {
                let name = edge.dependency.service_name.as_str();
                let index = index_of.get(name).copied();
                if index.is_none() {
                    let hint = name::hint(name, services.iter().map(|(name, _)| *name));
                    report.error(
                        &edge.span,
                        format!("{service} depends on `{name}`, which is no service here{hint}"),
                    );
                }
                index.map(|index| (index, &edge.span))
            });
            known.collect()
        })
        .collect();

    // Walk along the dependencies from each service. Whoever is met a second time on one walk is in a
    // cycle; whoever has been left again, or was met on an earlier walk, need not be looked at any more.
    let mut seen = vec![false; services.len()];
    for start in 0..services.len() {
        let mut trail: Vec<(usize, std::slice::Iter<'_, _>)> = Vec::new();
        if !std::mem::replace(&mut seen[start], true) {
            trail.push((start, edges[start].iter()));
        }
        while let Some((_, rest)) = trail.last_mut() {
            let Some(&(next, span)) = rest.next() else {
                trail.pop();
                continue;
            };
            if !std::mem::replace(&mut seen[next], true) {
                trail.push((next, edges[next].iter()));
            } else if let Some(from) = trail.iter().position(|(index, _)| *index == next) {
                let cycle = trail[from..].iter().map(|(index, _)| services[*index].0);
                let names: Vec<_> = cycle.chain([services[next].0]).collect();
                report.error(span, format!("dependency cycle: {}", names.join(" -> ")));
            }
        }
    }
}
