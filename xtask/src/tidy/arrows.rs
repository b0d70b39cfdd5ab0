//! Who may import whom: the design's arrows between crates, and what some crates never import.

use super::Violation;
use crate::workspace::{Package, Workspace};

const SERVANTS: [&str; 4] = ["byggvir", "roskva", "skirnir", "thjalfi"];
const LIBRARIES: [&str; 7] = [
    "byggvir",
    "gladsheim-core",
    "gladsheim-proto",
    "gladsheim-types",
    "roskva",
    "skirnir",
    "thjalfi",
];

/// The arrows that the design draws. A crate that is not drawn has none.
///
/// Core re-exports the servants, so the outermost crate names their types without an arrow.
fn may_import(from: &str, to: &str) -> bool {
    match from {
        "gladsheim" => ["gladsheim-core", "gladsheim-proto"].contains(&to),
        "gladsheim-core" => SERVANTS.contains(&to) || to == "gladsheim-types",
        "gladsheim-tests" => to != "xtask",
        servant if SERVANTS.contains(&servant) => to == "gladsheim-types",
        _ => false,
    }
}

/// What a crate must not know, whoever offers it: the importing crates, the dependency, the reason.
const BANNED: &[(&[&str], &str, &str)] = &[
    (
        &LIBRARIES,
        "anyhow",
        "a library's errors are API: one enum with thiserror",
    ),
    (
        &["gladsheim-types"],
        "tokio",
        "shared data does no I/O and needs no runtime",
    ),
];

/// Checks all edges, those of tests included: a test that needs an arrow which is not drawn
/// belongs into another crate.
pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let violations = workspace.packages.iter().flat_map(|package| {
        package.dependencies.iter().filter_map(|dependency| {
            let to = dependency.name.as_str();
            let reason = if workspace.is_member(to) {
                let drawn = may_import(&package.name, to) || to == package.name;
                (!drawn).then(|| "the design draws no such arrow".to_owned())
            } else {
                banned(package, to).map(str::to_owned)
            };
            reason.map(|reason| {
                let message = format!("{} must not import {to}: {reason}", package.name);
                Violation::new(&package.manifest_path, "arrows", message)
            })
        })
    });
    violations.collect()
}

fn banned(package: &Package, to: &str) -> Option<&'static str> {
    BANNED
        .iter()
        .find(|(from, dependency, _)| *dependency == to && from.contains(&package.name.as_str()))
        .map(|(_, _, reason)| *reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::tests::{package, workspace};

    fn messages(packages: &[Package]) -> Vec<String> {
        check(&workspace(packages))
            .into_iter()
            .map(|violation| violation.message)
            .collect()
    }

    #[test]
    fn the_design_as_drawn_passes() {
        let servant = |name| package(name, &["gladsheim-types", "tokio"]);
        let core = [
            "byggvir",
            "roskva",
            "skirnir",
            "thjalfi",
            "dev:thjalfi",
            "gladsheim-types",
        ];
        let packages = [
            package(
                "gladsheim",
                &["gladsheim-core", "gladsheim-proto", "anyhow"],
            ),
            package("gladsheim-core", &core),
            servant("byggvir"),
            servant("roskva"),
            servant("skirnir"),
            servant("thjalfi"),
            package("gladsheim-types", &["serde"]),
            package("gladsheim-proto", &["tonic"]),
            package(
                "gladsheim-tests",
                &["gladsheim", "thjalfi", "gladsheim-proto"],
            ),
            package("xtask", &["anyhow"]),
        ];
        assert_eq!(messages(&packages), [""; 0]);
    }

    #[test]
    fn a_servant_that_imports_a_servant_is_reported_in_tests_too() {
        let packages = [
            package("thjalfi", &["dev:byggvir"]),
            package("byggvir", &["thjalfi"]),
        ];
        let messages = messages(&packages);
        assert_eq!(messages.len(), 2, "{messages:?}");
        assert!(
            messages[0].starts_with("thjalfi must not import byggvir"),
            "{messages:?}"
        );
    }

    #[test]
    fn a_crate_that_the_design_does_not_know_has_no_arrows() {
        let packages = [package("loki", &["thjalfi"]), package("thjalfi", &[])];
        assert_eq!(messages(&packages).len(), 1);
    }

    #[test]
    fn xtask_imports_no_crate_of_ours() {
        let packages = [
            package("xtask", &["gladsheim-types"]),
            package("gladsheim-types", &[]),
        ];
        assert_eq!(messages(&packages).len(), 1);
    }

    #[test]
    fn libraries_have_no_anyhow_and_shared_data_has_no_tokio() {
        let packages = [
            package("roskva", &["anyhow"]),
            package("gladsheim-types", &["tokio"]),
        ];
        assert_eq!(messages(&packages).len(), 2);
    }
}
