//! The dependency graph: is it sound, and who belongs to a start. Pure.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::ServiceDefinition;

/// The first cycle found, as the names along it with the first one repeated at its end; `None` if
/// there is none.
pub fn find_cycle(services: &[ServiceDefinition]) -> Option<Vec<String>> {
    let by_name: HashMap<&str, &ServiceDefinition> = services
        .iter()
        .map(|service| (service.name.as_str(), service))
        .collect();
    let mut done = HashSet::new();
    services
        .iter()
        .find_map(|service| search(&by_name, &service.name, &mut done))
}

/// Depth first with a stack of its own: a chain of ten thousand services must not end ours.
fn search<'a>(
    by_name: &HashMap<&'a str, &'a ServiceDefinition>,
    start: &'a str,
    done: &mut HashSet<&'a str>,
) -> Option<Vec<String>> {
    let mut path: Vec<(&str, usize)> = vec![(start, 0)];
    let mut on_path = HashSet::from([start]);
    while let Some((name, next)) = path.last_mut() {
        let name = *name;
        let dependency = by_name
            .get(name)
            .and_then(|service| service.depends_on.get(*next));
        *next += 1;
        match dependency {
            Some(dependency) => {
                let target = dependency.service_name.as_str();
                if on_path.contains(target) {
                    let from = path.iter().position(|(name, _)| *name == target)?;
                    let mut cycle: Vec<String> = path[from..]
                        .iter()
                        .map(|(name, _)| (*name).to_owned())
                        .collect();
                    cycle.push(target.to_owned());
                    return Some(cycle);
                }
                if !done.contains(target) && by_name.contains_key(target) {
                    on_path.insert(target);
                    path.push((target, 0));
                }
            }
            None => {
                done.insert(name);
                on_path.remove(name);
                path.pop();
            }
        }
    }
    None
}

/// The named services and all that they depend on, directly or not, in the order of `services`.
pub(crate) fn closure(services: &[&ServiceDefinition], names: &[String]) -> Vec<String> {
    let by_name: HashMap<&str, &ServiceDefinition> = services
        .iter()
        .map(|service| (service.name.as_str(), *service))
        .collect();
    let mut wanted = HashSet::new();
    let mut open: Vec<&str> = names.iter().map(String::as_str).collect();
    while let Some(name) = open.pop() {
        if let Some(service) = by_name.get(name)
            && wanted.insert(name)
        {
            open.extend(
                service
                    .depends_on
                    .iter()
                    .map(|dependency| dependency.service_name.as_str()),
            );
        }
    }
    services
        .iter()
        .filter(|service| wanted.contains(service.name.as_str()))
        .map(|service| service.name.clone())
        .collect()
}

/// For each of `names`, who among them depends on it, directly or through services that are not among
/// them.
pub(crate) fn dependents_among(
    services: &[Arc<ServiceDefinition>],
    names: &[String],
) -> HashMap<String, Vec<String>> {
    let among: HashSet<&str> = names.iter().map(String::as_str).collect();
    let mut direct: HashMap<&str, Vec<&str>> = HashMap::new();
    for service in services {
        for dependency in &service.depends_on {
            let dependents = direct.entry(&dependency.service_name).or_default();
            dependents.push(&service.name);
        }
    }
    let of = |name: &str| {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        let mut open = vec![name];
        while let Some(current) = open.pop() {
            for dependent in direct.get(current).into_iter().flatten().copied() {
                if seen.insert(dependent) {
                    if among.contains(dependent) {
                        found.push(dependent.to_owned());
                    } else {
                        open.push(dependent);
                    }
                }
            }
        }
        found
    };
    names.iter().map(|name| (name.clone(), of(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dependency, DependencyCondition};

    fn service(name: &str, depends_on: &[&str]) -> ServiceDefinition {
        ServiceDefinition {
            depends_on: depends_on
                .iter()
                .map(|name| Dependency {
                    service_name: (*name).to_owned(),
                    condition: DependencyCondition::Started,
                    required: true,
                })
                .collect(),
            ..ServiceDefinition::new(name, "/bin/true")
        }
    }

    #[test]
    fn a_cycle_is_named_from_end_to_end() {
        for (services, cycle) in [
            (vec![service("a", &[])], None),
            (vec![service("a", &["a"])], Some("a a")),
            (
                vec![service("a", &["b"]), service("b", &["a"])],
                Some("a b a"),
            ),
            (
                vec![
                    service("x", &["a"]),
                    service("a", &["b"]),
                    service("b", &["c"]),
                    service("c", &["a"]),
                ],
                Some("a b c a"),
            ),
            // A diamond is no cycle, nor is an unknown name.
            (
                vec![
                    service("a", &["b", "c"]),
                    service("b", &["d"]),
                    service("c", &["d"]),
                    service("d", &["?"]),
                ],
                None,
            ),
        ] {
            let found = find_cycle(&services).map(|names| names.join(" "));
            assert_eq!(found.as_deref(), cycle);
        }
    }

    #[test]
    fn a_long_chain_does_not_end_the_stack() {
        let services: Vec<_> = (0..20_000)
            .map(|n| service(&format!("s{n}"), &[format!("s{}", n + 1).as_str()]))
            .collect();
        assert_eq!(find_cycle(&services), None);
    }

    #[test]
    fn the_closure_has_all_that_is_needed_in_the_given_order() {
        let services = [
            service("a", &["c"]),
            service("b", &[]),
            service("c", &["d"]),
            service("d", &[]),
        ];
        let services: Vec<&ServiceDefinition> = services.iter().collect();
        assert_eq!(closure(&services, &["a".to_owned()]), ["a", "c", "d"]);
        assert_eq!(
            closure(&services, &["b".to_owned(), "d".to_owned()]),
            ["b", "d"]
        );
    }

    #[test]
    fn dependents_are_found_through_those_that_do_not_matter() {
        let services = [
            service("a", &["b"]),
            service("b", &["c"]),
            service("c", &[]),
            service("d", &["c"]),
        ]
        .map(Arc::new);
        let dependents = dependents_among(&services, &["a", "c"].map(str::to_owned));
        assert_eq!(dependents["c"], ["a"]);
        assert!(dependents["a"].is_empty());
    }
}
