//! An initramfs: a cpio archive in the format that the kernel unpacks.

use std::{collections::BTreeSet, io, path::Path};

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;

/// The archive, in memory.
#[derive(Debug, Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    folders: BTreeSet<String>,
}

impl Archive {
    /// A file that may be executed, with the folders above it.
    pub(super) fn file(&mut self, path: &str, content: &[u8]) -> io::Result<()> {
        self.folders_above(path)?;
        self.entry(path, PROGRAM, content)
    }

    /// A symbolic link, with the folders above it.
    pub(super) fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.folders_above(path)?;
        self.entry(path, LINK, target.as_bytes())
    }

    /// A folder, with those above it.
    pub(super) fn folder(&mut self, path: &str) -> io::Result<()> {
        self.folders_above(path)?;
        if self.folders.insert(path.to_owned()) {
            self.entry(path, FOLDER, &[])?;
        }
        Ok(())
    }

    /// All of it.
    pub(super) fn finish(mut self) -> io::Result<Vec<u8>> {
        self.entry("TRAILER!!!", 0, &[])?;
        Ok(self.bytes)
    }

    fn folders_above(&mut self, path: &str) -> io::Result<()> {
        match Path::new(path).parent().and_then(Path::to_str) {
            None | Some("" | "/") => Ok(()),
            Some(above) => self.folder(above),
        }
    }

    /// One entry of the format "newc": a header of hexadecimal fields, the name, the content.
    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.entries += 1;
        let name = path.trim_start_matches('/');
        let too_large = |_| io::Error::other(format!("{path} is too large"));
        let size = u32::try_from(content.len()).map_err(too_large)?;
        let name_size = u32::try_from(name.len() + 1).map_err(too_large)?;
        let fields = [
            self.entries,
            mode,
            0, // user
            0, // group
            1, // links
            0, // time
            size,
            0, // devices
            0,
            0,
            0,
            name_size,
            0, // checksum
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
        Ok(())
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_aligned_and_folders_come_once_and_first() {
        let mut archive = Archive::default();
        archive.file("/a/b/one", b"12345").expect("fits");
        archive.file("/a/b/two", b"").expect("fits");
        archive.link("/a/link", "b").expect("fits");
        let bytes = archive.finish().expect("fits");
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8(bytes).expect("is text");
        let names: Vec<_> = text
            .split("070701")
            .skip(1)
            .map(|entry| entry[104..].split('\0').next().unwrap_or_default())
            .collect();
        assert_eq!(
            names,
            ["a", "a/b", "a/b/one", "a/b/two", "a/link", "TRAILER!!!"]
        );
    }
}
