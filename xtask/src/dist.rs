//! `cargo xtask dist`: a static binary and a Debian package of it, made without any program of Debian's and checked with
//! those that are there.
//!
//! The writers of tar and gzip are behind the feature `dist`, so that the other verbs build quickly; without it,
//! this verb starts itself again with it.

#[cfg(feature = "dist")]
mod binary;
#[cfg(feature = "dist")]
mod check;
#[cfg(feature = "dist")]
mod layout;
#[cfg(feature = "dist")]
mod package;

use std::path::PathBuf;

/// What to pack.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Pack this binary, instead of building a static one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Build and pack an ordinary binary without optimisation, to see whether packing works
    #[arg(long, conflicts_with = "binary")]
    quick: bool,
}

impl Args {
    /// What CI runs.
    pub(crate) fn quick() -> Self {
        Self {
            quick: true,
            ..Self::default()
        }
    }
}

/// Starts this verb again in an xtask that can write archives.
#[cfg(not(feature = "dist"))]
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    use crate::command::{self, cargo};

    let mut again = cargo(["run", "--quiet", "--package=xtask", "--features=dist", "--"]);
    again.arg("dist");
    if let Some(binary) = &args.binary {
        again.arg("--binary").arg(binary);
    }
    command::run(again.args(args.quick.then_some("--quick")))
}

/// Builds, packs and checks.
#[cfg(feature = "dist")]
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    use anyhow::Context as _;

    let workspace = crate::workspace::Workspace::load()?;
    let version = workspace
        .packages
        .iter()
        .find(|package| package.name == "gladsheim")
        .context("there is no package gladsheim")?
        .version
        .clone();
    let binary = match &args.binary {
        Some(binary) => std::path::absolute(binary)?,
        None => binary::build(&workspace.target_directory, args.quick)?,
    };
    let folder = workspace.target_directory.join("dist");
    std::fs::create_dir_all(&folder)?;
    let files = layout::collect(&binary, &folder)?;
    let architecture = package::architecture()?;
    let deb = folder.join(format!("gladsheim_{version}-1_{architecture}.deb"));
    let bytes = package::write(&files, &version, architecture)?;
    std::fs::write(&deb, &bytes).with_context(|| format!("cannot write {}", deb.display()))?;
    let is_static = binary::is_static(&std::fs::read(&binary)?);
    println!(
        "{}: {} files, {:.1} MiB; the binary has {:.1} MiB and is {}",
        deb.display(),
        files.len(),
        bytes.len() as f64 / f64::from(1 << 20),
        std::fs::metadata(&binary)?.len() as f64 / f64::from(1 << 20),
        if is_static { "static" } else { "not static" },
    );
    anyhow::ensure!(
        is_static || args.quick || args.binary.is_some(),
        "the binary needs libraries of this machine"
    );
    check::check(&deb, &files, &folder)
}
