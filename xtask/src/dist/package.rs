//! A Debian package: an ar archive of a version, what is told about the package, and its files; see `deb(5)`.

use std::{collections::BTreeSet, env};

use anyhow::bail;
use tar::{Builder, EntryType, Header};

use super::layout::{File, compressed};

/// Debian's name of this machine's architecture.
pub(super) fn architecture() -> anyhow::Result<&'static str> {
    match env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("nobody has said how Debian calls {other}"),
    }
}

/// The whole package. The same files give the same bytes.
pub(super) fn write(files: &[File], version: &str, architecture: &str) -> anyhow::Result<Vec<u8>> {
    let control = File {
        path: "control".to_owned(),
        content: control(files, version, architecture).into_bytes(),
        executable: false,
    };
    let mut package = b"!<arch>\n".to_vec();
    for (name, content) in [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", archive(&[control])?),
        ("data.tar.gz", archive(files)?),
    ] {
        let size = content.len();
        let header = format!(
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n",
            0, 0, 0, "100644"
        );
        package.extend(header.into_bytes());
        package.extend(content);
        if size % 2 == 1 {
            package.push(b'\n');
        }
    }
    Ok(package)
}

fn control(files: &[File], version: &str, architecture: &str) -> String {
    let bytes: usize = files.iter().map(|file| file.content.len()).sum();
    format!(
        "Package: gladsheim\nVersion: {version}-1\nArchitecture: {architecture}\n\
         Maintainer: The Gladsheim developers <gladsheim@localhost>\nInstalled-Size: {}\n\
         Section: admin\nPriority: optional\nHomepage: https://github.com/gladsheim/gladsheim\n\
         Description: service supervisor for one machine\n \
         Gladsheim keeps services running: it starts them in the order of their dependencies, watches over\n \
         their health and their resources, brings them back, and stops them in reverse order. One static\n \
         binary is the daemon and the command line.\n",
        bytes.div_ceil(1024)
    )
}

/// All files, with the folders above them, owned by root.
fn archive(files: &[File]) -> anyhow::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    let mut folders = BTreeSet::from([String::new()]);
    let mut add = |path: &str, kind, mode, content: &[u8]| -> anyhow::Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.set_username("root")?;
        header.set_groupname("root")?;
        Ok(tar.append_data(&mut header, path, content)?)
    };
    for file in files {
        let above = file.path.match_indices('/').map(|(at, _)| &file.path[..at]);
        for folder in above {
            if folders.insert(folder.to_owned()) {
                add(&format!("{folder}/"), EntryType::Directory, 0o755, &[])?;
            }
        }
        let mode = if file.executable { 0o755 } else { 0o644 };
        add(&file.path, EntryType::Regular, mode, &file.content)?;
    }
    compressed(&tar.into_inner()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_a_package_begin_at_even_places() {
        let file = File {
            path: "usr/share/x".into(),
            content: b"x".to_vec(),
            executable: false,
        };
        let package = write(&[file], "1.2.3", "amd64").expect("is written");
        assert!(package.starts_with(
            b"!<arch>\ndebian-binary   0           0     0     100644  4         `\n2.0\n"
        ));
        let mut at = 8;
        let mut names = Vec::new();
        while at < package.len() {
            assert_eq!((at % 2, &package[at + 58..at + 60]), (0, &b"`\n"[..]));
            let text = |range| {
                std::str::from_utf8(&package[range])
                    .expect("is text")
                    .trim()
            };
            names.push(text(at..at + 16).to_owned());
            let size: usize = text(at + 48..at + 58).parse().expect("is a number");
            at += 60 + size.next_multiple_of(2);
        }
        assert_eq!(names, ["debian-binary", "control.tar.gz", "data.tar.gz"]);
    }
}
