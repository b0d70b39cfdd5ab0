//! What every `Cargo.toml` has in common: what is inherited, and how dependencies are written.

use toml::{Table, Value};

use super::Violation;
use crate::workspace::{Package, Workspace};

/// Keys of `[package]` that all members inherit.
const INHERITED: &[&str] = &["edition", "license"];
/// Those that published crates inherit as well.
const INHERITED_IF_PUBLISHED: &[&str] = &[
    "rust-version",
    "repository",
    "authors",
    "keywords",
    "categories",
];

/// Checks one manifest, as it is written.
pub(super) fn check(workspace: &Workspace, package: &Package, manifest: &Table) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut report = |rule, message: String| {
        violations.push(Violation::new(&package.manifest_path, rule, message));
    };

    if !inherits(manifest.get("lints")) {
        report(
            "inherit",
            "`[lints]` must say `workspace = true`".to_owned(),
        );
    }
    let extra = if package.is_published() {
        INHERITED_IF_PUBLISHED
    } else {
        &[]
    };
    for key in INHERITED.iter().chain(extra) {
        if !inherits(manifest.get("package").and_then(|package| package.get(key))) {
            report(
                "inherit",
                format!("`[package]` must say `{key}.workspace = true`"),
            );
        }
    }

    for (kind, name, value) in dependencies(manifest) {
        let internal = workspace.is_member(name);
        if internal && kind == "dev-dependencies" && package.is_published() {
            if value.get("path").is_none() || value.get("version").is_some() {
                let message = format!(
                    "the dev-dependency {name} must have a path and no version: publishing would \
                     have a cycle"
                );
                report("dependencies", message);
            }
        } else if !inherits(Some(value)) {
            let why = if internal {
                "for its version"
            } else {
                "all share one version"
            };
            let message = format!("`[{kind}]` must say `{name}.workspace = true`: {why}");
            report("dependencies", message);
        }
    }
    violations
}

/// Whether a value is `{ workspace = true, … }`.
fn inherits(value: Option<&Value>) -> bool {
    value
        .and_then(|value| value.get("workspace"))
        .and_then(Value::as_bool)
        == Some(true)
}

/// All dependencies, those of single platforms too: the kind, the name, what is written.
fn dependencies(manifest: &Table) -> Vec<(&'static str, &str, &Value)> {
    const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];
    let platforms = manifest.get("target").and_then(Value::as_table).into_iter();
    let platforms = platforms.flat_map(|targets| targets.values().filter_map(Value::as_table));
    std::iter::once(manifest)
        .chain(platforms)
        .flat_map(|table| KINDS.map(|kind| (kind, table.get(kind).and_then(Value::as_table))))
        .filter_map(|(kind, entries)| entries.map(|entries| (kind, entries)))
        .flat_map(|(kind, entries)| {
            entries
                .iter()
                .map(move |(name, value)| (kind, name.as_str(), value))
        })
        .collect()
}

/// Checks that each of our own crates carries a version beside its path where all inherit it from.
pub(super) fn check_root(workspace: &Workspace, manifest: &Table) -> Vec<Violation> {
    let entries = manifest
        .get("workspace")
        .and_then(|workspace| workspace.get("dependencies"))
        .and_then(Value::as_table);
    let unversioned = entries.into_iter().flatten().filter(|(name, value)| {
        workspace.is_member(name) && (value.get("path").is_none() || value.get("version").is_none())
    });
    unversioned
        .map(|(name, _)| {
            let message =
                format!("{name} must have a path and a version, or it cannot be published");
            Violation::new("Cargo.toml", "dependencies", message)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::tests::{package, workspace};

    const HEAD: &str = "
        lints.workspace = true
        [package]
        edition.workspace = true
        license.workspace = true
        rust-version.workspace = true
        repository.workspace = true
        authors.workspace = true
        keywords.workspace = true
        categories.workspace = true
    ";

    fn messages(manifest: &str) -> Vec<String> {
        let family = workspace(&[package("core", &[]), package("servant", &[])]);
        let manifest = manifest.parse().expect("is TOML");
        let violations = check(&family, &package("core", &[]), &manifest);
        violations
            .into_iter()
            .map(|violation| violation.message)
            .collect()
    }

    #[test]
    fn a_manifest_that_inherits_everything_passes() {
        let manifest = format!(
            "{HEAD}
            [dependencies]
            servant.workspace = true
            tokio = {{ workspace = true, features = ['rt'] }}
            [dev-dependencies]
            servant = {{ path = '../servant', features = ['mock'] }}
            tempfile.workspace = true"
        );
        assert_eq!(messages(&manifest), [""; 0]);
    }

    #[test]
    fn each_key_that_is_not_inherited_is_named() {
        let messages = messages("package.edition = '2021'");
        assert_eq!(messages.len(), 8, "{messages:?}");
        assert!(
            messages[0].contains("[lints]") && messages[1].contains("edition"),
            "{messages:?}"
        );
    }

    #[test]
    fn a_dependency_with_a_version_of_its_own_is_reported_on_every_platform() {
        let manifest = format!(
            "{HEAD}
            [dependencies]
            tokio = '1'
            servant = {{ path = '../servant' }}
            [target.'cfg(unix)'.build-dependencies]
            cc = '1'"
        );
        let messages = messages(&manifest);
        assert_eq!(messages.len(), 3, "{messages:?}");
        assert!(
            messages[2].contains("`[build-dependencies]` must say `cc."),
            "{messages:?}"
        );
    }

    #[test]
    fn an_internal_dev_dependency_with_a_version_is_reported() {
        let manifest = format!("{HEAD}\n[dev-dependencies]\nservant.workspace = true");
        let messages = messages(&manifest);
        assert_eq!(messages.len(), 1, "{messages:?}");
        assert!(messages[0].contains("no version"), "{messages:?}");
    }

    #[test]
    fn a_crate_of_ours_without_a_version_in_the_workspace_is_reported() {
        let family = workspace(&[package("core", &[]), package("servant", &[])]);
        let manifest = "
            [workspace.dependencies]
            core = { path = 'core', version = '0.1.0' }
            servant = { path = 'servant' }
            tokio = '1'"
            .parse()
            .expect("is TOML");
        let violations = check_root(&family, &manifest);
        assert_eq!(violations.len(), 1, "{violations:?}");
        assert!(
            violations[0].message.starts_with("servant"),
            "{violations:?}"
        );
    }
}
