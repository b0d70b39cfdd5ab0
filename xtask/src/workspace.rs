//! What `cargo metadata` says about the workspace's own packages.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Context;
use serde::Deserialize;

use crate::command;

/// The workspace's members.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
    pub(crate) target_directory: PathBuf,
}

/// One member, as far as our verbs care.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) description: Option<String>,
    pub(crate) license: Option<String>,
    /// The registries that it may go to: absent means any, empty means none.
    pub(crate) publish: Option<Vec<String>>,
    /// From the workspace's root.
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) features: BTreeMap<String, Vec<String>>,
    pub(crate) targets: Vec<Target>,
}

/// An edge of the dependency graph, of any kind.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `dev` or `build`; absent for a normal dependency.
    pub(crate) kind: Option<String>,
}

/// Something that cargo builds from a package.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
}

impl Workspace {
    /// Asks cargo; nothing is resolved or fetched.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let text = command::read(&mut command::cargo([
            "metadata",
            "--format-version=1",
            "--no-deps",
        ]))?;
        let mut workspace: Self =
            serde_json::from_str(&text).context("cannot read what `cargo metadata` printed")?;
        let root = command::root();
        for package in &mut workspace.packages {
            if let Ok(relative) = package.manifest_path.strip_prefix(&root) {
                package.manifest_path = relative.to_path_buf();
            }
        }
        Ok(workspace)
    }

    /// The crates that go to a registry, each after those that it needs.
    pub(crate) fn publishing_order(&self) -> anyhow::Result<Vec<&Package>> {
        let mut waiting: Vec<&Package> = self
            .packages
            .iter()
            .filter(|package| package.is_published())
            .collect();
        let mut order = Vec::new();
        while !waiting.is_empty() {
            let (blocked, free): (Vec<&Package>, Vec<&Package>) = waiting
                .iter()
                .partition(|package| package.needs_any(&waiting));
            if free.is_empty() {
                let names: Vec<_> = blocked
                    .iter()
                    .map(|package| package.name.as_str())
                    .collect();
                anyhow::bail!(
                    "cannot be published, they need each other: {}",
                    names.join(", ")
                );
            }
            order.extend(free);
            waiting = blocked;
        }
        Ok(order)
    }

    /// Whether a package has a library, and with it doc tests.
    pub(crate) fn has_lib(&self, name: &str) -> bool {
        let mut targets = self
            .packages
            .iter()
            .filter(|package| package.name == name)
            .flat_map(|p| &p.targets);
        targets.any(|target| target.kind.iter().any(|kind| kind == "lib"))
    }

    /// Whether a name is one of our own packages.
    pub(crate) fn is_member(&self, name: &str) -> bool {
        self.packages.iter().any(|package| package.name == name)
    }
}

impl Package {
    /// Whether the crate is meant for a registry.
    pub(crate) fn is_published(&self) -> bool {
        self.publish
            .as_ref()
            .is_none_or(|registries| !registries.is_empty())
    }

    /// The path of a file beside the manifest, from the workspace's root.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.manifest_path.with_file_name(name)
    }

    /// Whether one of these has to be on the registry first. Dev-dependencies do not count: they
    /// carry no version, so cargo leaves them out of the package.
    fn needs_any(&self, others: &[&Package]) -> bool {
        self.dependencies
            .iter()
            .filter(|dependency| dependency.kind.as_deref() != Some("dev"))
            .any(|dependency| others.iter().any(|other| other.name == dependency.name))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A package with these edges, `dev:` marking a dev-dependency.
    pub(crate) fn package(name: &str, edges: &[&str]) -> Package {
        let dependencies = edges
            .iter()
            .map(|edge| match edge.strip_prefix("dev:") {
                Some(name) => Dependency {
                    name: name.into(),
                    kind: Some("dev".into()),
                },
                None => Dependency {
                    name: (*edge).into(),
                    kind: None,
                },
            })
            .collect();
        let manifest_path = format!("crates/{name}/Cargo.toml").into();
        Package {
            name: name.into(),
            manifest_path,
            dependencies,
            ..Package::default()
        }
    }

    pub(crate) fn workspace(packages: &[Package]) -> Workspace {
        Workspace {
            packages: packages.to_vec(),
            target_directory: PathBuf::new(),
        }
    }

    #[test]
    fn a_crate_is_published_after_those_that_it_needs() {
        let mut private = package("xtask", &[]);
        private.publish = Some(Vec::new());
        let workspace = workspace(&[
            package("hall", &["servant", "tokio"]),
            package("servant", &["types", "dev:hall"]),
            private,
            package("types", &[]),
        ]);
        let order = workspace.publishing_order().expect("there is an order");
        let names: Vec<_> = order.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["types", "servant", "hall"]);
    }

    #[test]
    fn a_publishing_cycle_is_named() {
        let workspace = workspace(&[package("a", &["b"]), package("b", &["a"])]);
        let error = workspace.publishing_order().expect_err("there is no order");
        assert!(error.to_string().ends_with("a, b"), "{error}");
    }
}
