//! `cargo xtask tidy`: the house rules that no compiler knows.
//!
//! Each rule is a pure function over values (a package, a manifest, a source text), so its tests
//! need no files. Everything that is wrong is reported at once.

mod arrows;
mod manifest;
mod papers;
mod source;

use std::{fmt, fs, path::Path};

use anyhow::{Context, bail};

use crate::{command, workspace::Workspace};

/// Something that breaks a house rule.
#[derive(Debug, PartialEq)]
struct Violation {
    /// A file, from the workspace's root, perhaps with a line.
    place: String,
    rule: &'static str,
    message: String,
}

impl Violation {
    fn new(place: impl AsRef<Path>, rule: &'static str, message: impl Into<String>) -> Self {
        Self {
            place: place.as_ref().display().to_string(),
            rule,
            message: message.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} [{}]", self.place, self.message, self.rule)
    }
}

/// Checks every rule on every file and lists all violations.
pub(crate) fn run() -> anyhow::Result<()> {
    let root = command::root();
    let workspace = Workspace::load()?;
    let mut violations = arrows::check(&workspace);
    violations.extend(manifest::check_root(
        &workspace,
        &parse(&root.join("Cargo.toml"))?,
    ));
    for package in &workspace.packages {
        violations.extend(manifest::check(
            &workspace,
            package,
            &parse(&root.join(&package.manifest_path))?,
        ));
        if package.is_published() {
            let paper =
                |name| fs::read_to_string(root.join(package.file(name))).unwrap_or_default();
            violations.extend(papers::check(
                package,
                &paper("README.md"),
                &paper("CHANGELOG.md"),
            ));
        }
    }
    let mut files = 0;
    for path in source::files(&root)? {
        files += 1;
        violations.extend(source::check(path.strip_prefix(&root)?, &read(&path)?));
    }

    for violation in &violations {
        eprintln!("{violation}");
    }
    if !violations.is_empty() {
        bail!(
            "{} violations of the house rules, which docs/style.md explains",
            violations.len()
        );
    }
    println!(
        "tidy: {} packages and {files} files follow the rules",
        workspace.packages.len()
    );
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn parse(manifest: &Path) -> anyhow::Result<toml::Table> {
    read(manifest)?
        .parse()
        .with_context(|| format!("cannot parse {}", manifest.display()))
}
