//! One crate's public API, an item a line.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use anyhow::Context;

use crate::{
    command::{self, cargo},
    workspace::{Package, Workspace},
};

/// The format that [`public_api`] reads, and that the pinned toolchain writes.
const FORMAT: u64 = 57;

/// Asks rustdoc, and reads what it answers.
pub(super) struct Writer {
    target: PathBuf,
    rustdoc: PathBuf,
}

impl Writer {
    /// `None`, and said so, where the toolchain is not the pinned one and writes another format.
    pub(super) fn new(workspace: &Workspace) -> anyhow::Result<Option<Self>> {
        // JSON is unstable. Only rustdoc is told that it may: told to cargo, it would build all dependencies again.
        let target = workspace.target_directory.clone();
        fs::create_dir_all(&target)?;
        let rustdoc = target.join("rustdoc-json");
        fs::write(
            &rustdoc,
            "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\"\n",
        )?;
        fs::set_permissions(&rustdoc, fs::Permissions::from_mode(0o755))?;
        let writer = Self { target, rustdoc };
        let format = writer.format("gladsheim-types")?;
        if format != Some(FORMAT) {
            eprintln!(
                "SKIPPED: public API: this toolchain's rustdoc writes format {format:?}, not {FORMAT}"
            );
            return Ok(None);
        }
        Ok(Some(writer))
    }

    pub(super) fn text(&self, package: &Package) -> anyhow::Result<String> {
        let api = public_api::Builder::from_rustdoc_json(self.json(&package.name)?)
            .omit_blanket_impls(true)
            .omit_auto_trait_impls(true)
            .omit_auto_derived_impls(true)
            .build()?;
        Ok(api.items().map(|item| format!("{item}\n")).collect())
    }

    fn format(&self, name: &str) -> anyhow::Result<Option<u64>> {
        let text = fs::read_to_string(self.json(name)?)?;
        let document: serde_json::Value = serde_json::from_str(&text)?;
        Ok(document["format_version"].as_u64())
    }

    fn json(&self, name: &str) -> anyhow::Result<PathBuf> {
        let mut doc = cargo([
            "rustdoc",
            "--quiet",
            "--lib",
            "--package",
            name,
            "--",
            "-Zunstable-options",
            "--output-format=json",
        ]);
        command::run(doc.env("RUSTDOC", &self.rustdoc))
            .with_context(|| format!("rustdoc has no JSON of {name}"))?;
        let file = name.replace('-', "_") + ".json";
        Ok(self.target.join("doc").join(file))
    }
}

/// What goes, marked with `-`, and what comes, with `+`.
pub(super) fn difference(before: &str, now: &str) -> Vec<String> {
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (before.lines().collect(), now.lines().collect());
    let gone = old.difference(&new).map(|line| format!("- {line}"));
    gone.chain(new.difference(&old).map(|line| format!("+ {line}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn what_goes_and_what_comes_is_shown_and_an_order_is_no_change() {
        assert_eq!(difference("a\nb\nc\n", "d\nb\na\n"), ["- c", "+ d"]);
        assert!(difference("a\nb\n", "b\na\n").is_empty());
    }
}
