//! `cargo xtask api`: the public API of each published library as a text, committed as `api.txt` beside its manifest.
//!
//! A change of the API is then a change of a file: a line that goes or becomes another one breaks whoever has
//! used it. There is no published version to compare with before the first release, and a registry cannot be
//! asked in every CI; from a release on, release-plz compares with the registry too. `gladsheim-proto` is left out: it is generated, and its contract is
//! the .proto file.
//!
//! The text is made from rustdoc's JSON, which the pinned toolchain writes when it is told that it may. The
//! reader of that JSON is behind the feature `api`, as the protobuf compiler is behind `codegen`.

#[cfg(feature = "api")]
mod text;

/// What to do with the text.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Change nothing; fail if what is committed differs, and show how
    #[arg(long)]
    pub(crate) check: bool,
}

/// Starts this verb again in an xtask that has the reader.
#[cfg(not(feature = "api"))]
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    use crate::command::{self, cargo};

    let mut again = cargo(["run", "--quiet", "--package=xtask", "--features=api", "--"]);
    again.arg("api").args(args.check.then_some("--check"));
    command::run(&mut again)
}

/// Writes the texts, or compares them with what is committed.
#[cfg(feature = "api")]
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let workspace = crate::workspace::Workspace::load()?;
    let Some(writer) = text::Writer::new(&workspace)? else {
        return Ok(());
    };
    let mut changed = Vec::new();
    for package in workspace.publishing_order()? {
        if package.name == "gladsheim-proto" {
            continue;
        }
        let file = package.file("api.txt");
        let path = crate::command::root().join(&file);
        let now = writer.text(package)?;
        if !args.check {
            std::fs::write(&path, now)?;
            println!("wrote {}", file.display());
            continue;
        }
        // One that is not there yet differs by all of its lines.
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        let lines = text::difference(&before, &now);
        if !lines.is_empty() {
            println!("{}:\n{}", file.display(), lines.join("\n"));
            changed.push(package.name.as_str());
        }
    }
    if !changed.is_empty() {
        anyhow::bail!(
            "the public API is not the committed one: {}; `cargo xtask api` writes it anew, and the changelog \
             says what breaks",
            changed.join(", ")
        );
    }
    Ok(())
}
