//! Brings a program and what it needs into the page cache, ahead of its start.
//!
//! What it needs is read from the ELF headers: the interpreter and the shared libraries, looked for
//! where the program itself says and in the folders that all systems have. A library that is not found
//! there (`ld.so.conf` may name other folders) is left to the start. So are programs of another word
//! size or byte order than this one's.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, Read},
    os::unix::{ffi::OsStrExt, fs::FileExt},
    path::{Path, PathBuf},
};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

/// What was read at once.
const CHUNK: usize = 1024 * 1024;
/// Longest path and longest section of names that is believed.
const MOST: u64 = 16 * 1024 * 1024;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// What is in the page cache now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The program first, then interpreters and shared libraries, each with its size in bytes.
    pub files: Vec<(PathBuf, u64)>,
}

/// Reads all of it; blocks for as long as the disk takes.
///
/// # Errors
///
/// If the program itself cannot be read.
pub(crate) fn load(program: &Path) -> io::Result<Loaded> {
    let mut loaded = Loaded::default();
    let mut known = HashSet::new();
    let mut pending = vec![program.to_owned()];
    let mut chunk = vec![0; CHUNK];
    while let Some(path) = pending.pop() {
        if !known.insert(path.canonicalize().unwrap_or_else(|_| path.clone())) {
            continue;
        }
        match read_all(&path, &mut chunk) {
            Ok((file, bytes)) => {
                // Whatever is no program of ours needs nothing.
                pending.extend(needs(&path, &file).unwrap_or_default());
                loaded.files.push((path, bytes));
            }
            Err(error) if loaded.files.is_empty() => return Err(error),
            Err(error) => tracing::debug!(path = %path.display(), %error, "not loaded ahead"),
        }
    }
    Ok(loaded)
}

fn read_all(path: &Path, chunk: &mut [u8]) -> io::Result<(File, u64)> {
    let mut file = File::open(path)?;
    // Only a hint: the kernel reads further ahead.
    let _ = posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_WILLNEED);
    let mut bytes = 0;
    loop {
        match file.read(chunk) {
            Ok(0) => return Ok((file, bytes)),
            Ok(read) => bytes += read as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The files that a program or library names.
fn needs(path: &Path, file: &File) -> io::Result<Vec<PathBuf>> {
    let mut header = [0; 64];
    let length = file.read_at(&mut header, 0)?;
    if header.starts_with(b"#!") {
        return Ok(interpreter_of_script(&header[2..length])
            .into_iter()
            .collect());
    }
    let native = if cfg!(target_endian = "little") { 1 } else { 2 };
    if length < 64 || !header.starts_with(&[0x7f, b'E', b'L', b'F', 2, native]) {
        return Ok(Vec::new());
    }
    let (table, size, count) = (word(&header, 32), half(&header, 54), half(&header, 56));
    let segments = part(file, table, u64::from(size) * u64::from(count))?;
    let segments: Vec<_> = segments.chunks_exact(usize::from(size).max(56)).collect();
    let mut found = Vec::new();
    for segment in &segments {
        let content = || part(file, word(segment, 8), word(segment, 32));
        match kind(segment) {
            PT_INTERP => {
                let name = content()?;
                let name = name.strip_suffix(b"\0").unwrap_or(&name);
                found.push(PathBuf::from(std::ffi::OsStr::from_bytes(name)));
            }
            PT_DYNAMIC => found.extend(libraries(path, file, &content()?, &segments)?),
            _ => {}
        }
    }
    Ok(found)
}

fn interpreter_of_script(line: &[u8]) -> Option<PathBuf> {
    let line = line.split(|byte| *byte == b'\n').next()?;
    let mut words = line.split(u8::is_ascii_whitespace);
    let word = words.find(|word| !word.is_empty())?;
    Some(std::ffi::OsStr::from_bytes(word).into())
}

/// The shared libraries of the dynamic section, as far as they are found.
fn libraries(
    path: &Path,
    file: &File,
    dynamic: &[u8],
    segments: &[&[u8]],
) -> io::Result<Vec<PathBuf>> {
    let entries: Vec<_> = dynamic
        .chunks_exact(16)
        .map(|entry| (word(entry, 0), word(entry, 8)))
        .collect();
    let value = |tag| {
        entries
            .iter()
            .find(|entry| entry.0 == tag)
            .map(|entry| entry.1)
    };
    // The table of names is told by its address in memory.
    let place = value(DT_STRTAB).and_then(|address| {
        let holds = |segment: &&&[u8]| {
            kind(segment) == PT_LOAD
                && (word(segment, 16)..word(segment, 16).saturating_add(word(segment, 40)))
                    .contains(&address)
        };
        let segment = segments.iter().find(holds)?;
        (address - word(segment, 16)).checked_add(word(segment, 8))
    });
    let (Some(place), Some(size)) = (place, value(DT_STRSZ)) else {
        return Ok(Vec::new());
    };
    let names = part(file, place, size)?;
    let name = |offset: u64| {
        let rest = names.get(usize::try_from(offset).ok()?..)?;
        std::str::from_utf8(rest.split(|byte| *byte == 0).next()?).ok()
    };
    let origin = path
        .parent()
        .unwrap_or(Path::new("/"))
        .display()
        .to_string();
    let own = value(DT_RUNPATH).or(value(DT_RPATH)).and_then(name);
    let own = own
        .unwrap_or_default()
        .replace("${ORIGIN}", "$ORIGIN")
        .replace("$ORIGIN", &origin);
    let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
    let common = ["/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib"];
    let folders: Vec<PathBuf> = own
        .split(':')
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
        .chain(common.map(|folder| Path::new(folder).join(&triplet)))
        .chain(common.map(PathBuf::from))
        .collect();
    let needed = entries.iter().filter(|entry| entry.0 == DT_NEEDED);
    Ok(needed
        .filter_map(|entry| name(entry.1))
        .filter_map(|library| {
            let candidates = folders.iter().map(|folder| folder.join(library));
            candidates.into_iter().find(|candidate| candidate.is_file())
        })
        .collect())
}

fn part(file: &File, place: u64, size: u64) -> io::Result<Vec<u8>> {
    let size = usize::try_from(size.min(MOST)).map_err(io::Error::other)?;
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, place)?;
    Ok(bytes)
}

fn kind(segment: &[u8]) -> u32 {
    u32::from_ne_bytes(array(segment, 0))
}

fn half(bytes: &[u8], place: usize) -> u16 {
    u16::from_ne_bytes(array(bytes, place))
}

fn word(bytes: &[u8], place: usize) -> u64 {
    u64::from_ne_bytes(array(bytes, place))
}

/// Zeros beyond the end.
fn array<const N: usize>(bytes: &[u8], place: usize) -> [u8; N] {
    let mut array = [0; N];
    if let Some(part) = bytes.get(place..place + N) {
        array.copy_from_slice(part);
    }
    array
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::load;

    #[test]
    fn a_program_brings_its_interpreter_and_libraries_along() {
        let own = std::env::current_exe().unwrap();
        let loaded = load(&own).unwrap();
        assert_eq!(
            loaded.files[0],
            (own.clone(), fs::metadata(&own).unwrap().len())
        );
        let named = |part: &str| {
            let mut files = loaded.files.iter();
            files.any(|(file, _)| file.to_string_lossy().contains(part))
        };
        assert!(named("libc.") && named("ld-"), "{loaded:?}");
    }

    #[test]
    fn a_script_brings_its_interpreter_along_and_rubbish_brings_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            path
        };
        let script = load(&file("script", b"#! /bin/sh -e\n")).unwrap();
        assert_eq!(script.files[1].0, Path::new("/bin/sh"));
        let mut broken = vec![0xff; 200];
        broken[..6].copy_from_slice(b"\x7fELF\x02\x01");
        for rubbish in [&b""[..], b"\x7fELF", b"#!", &broken] {
            assert_eq!(load(&file("rubbish", rubbish)).unwrap().files.len(), 1);
        }
        load(Path::new("/no/such")).unwrap_err();
    }
}
