//! What is in the package, and where.

use std::{fs, io::Write as _, path::Path, process::Command};

use anyhow::Context as _;
use flate2::{Compression, GzBuilder};

use crate::command::{self, root};

/// A file of the package.
#[derive(Debug)]
pub(super) struct File {
    /// From the root, without a slash at the beginning.
    pub(super) path: String,
    pub(super) content: Vec<u8>,
    pub(super) executable: bool,
}

impl File {
    fn new(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self {
            path: path.into(),
            content: content.into(),
            executable: false,
        }
    }
}

/// All files: what the binary says of itself, and what lies in the repository. `folder` is for what is in between.
pub(super) fn collect(binary: &Path, folder: &Path) -> anyhow::Result<Vec<File>> {
    let says = |arguments: &[&str]| command::read(Command::new(binary).args(arguments));
    let mut files = vec![
        File {
            executable: true,
            ..File::new("usr/bin/gladsheim", read(binary)?)
        },
        File::new(
            "usr/lib/systemd/system/gladsheim.service",
            ours("config/systemd/gladsheim.service")?,
        ),
        File::new(
            "usr/share/bash-completion/completions/gladsheim",
            says(&["completions", "bash"])?,
        ),
        File::new(
            "usr/share/zsh/vendor-completions/_gladsheim",
            says(&["completions", "zsh"])?,
        ),
        File::new(
            "usr/share/fish/vendor_completions.d/gladsheim.fish",
            says(&["completions", "fish"])?,
        ),
        File::new(
            "usr/share/gladsheim/gladsheim.schema.json",
            says(&["schema"])?,
        ),
        File::new(
            "usr/share/gladsheim/grafana-dashboard.json",
            ours("docs/grafana-dashboard.json")?,
        ),
        File::new(
            "usr/share/doc/gladsheim/examples/gladsheim.toml",
            ours("config/gladsheim.toml")?,
        ),
        File::new(
            "usr/share/doc/gladsheim/changelog.gz",
            compressed(&ours("crates/gladsheim/CHANGELOG.md")?)?,
        ),
        File::new("usr/share/doc/gladsheim/copyright", copyright()?),
    ];
    let pages = folder.join("man");
    if pages.exists() {
        fs::remove_dir_all(&pages)?;
    }
    let mut man = Command::new(binary);
    command::run(man.args(["man", "--dir"]).arg(&pages))?;
    for page in fs::read_dir(&pages)? {
        let page = page?;
        let path = format!(
            "usr/share/man/man1/{}.gz",
            page.file_name().to_string_lossy()
        );
        files.push(File::new(path, compressed(&read(&page.path())?)?));
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// In the form that Debian reads.
fn copyright() -> anyhow::Result<String> {
    let mit = String::from_utf8(ours("LICENSE-MIT")?)?;
    let (_, mit) = mit.split_once("\n\n").context("LICENSE-MIT has no text")?;
    let indented: String = mit
        .trim_end()
        .lines()
        .map(|line| {
            if line.is_empty() {
                " .\n".to_owned()
            } else {
                format!(" {line}\n")
            }
        })
        .collect();
    Ok(format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: gladsheim\n\n\
         Files: *\nCopyright: 2026 The Gladsheim developers\nLicense: MIT or Apache-2.0\n\n\
         License: MIT\n{indented}\n\
         License: Apache-2.0\n On Debian systems, the full text is in /usr/share/common-licenses/Apache-2.0.\n"
    ))
}

/// A file of the repository.
fn ours(path: &str) -> anyhow::Result<Vec<u8>> {
    read(&root().join(path))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// By gzip, without a time: the same content is the same package.
pub(super) fn compressed(content: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
    gzip.write_all(content)?;
    Ok(gzip.finish()?)
}
