//! Paths: what relative ones are relative to, and where state and socket lie by default.

use std::{
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::{
    Environment,
    reader::{Field, Table},
};

/// Longest path of a unix socket in bytes; the kernel's field has one more for the final NUL.
const LONGEST_SOCKET_PATH: usize = 107;

/// Eight hexadecimal digits that tell halls apart: FNV-1a, 32 bits, over the bytes of the hall file's
/// canonical path. Part of the names of folders and sockets, so it never changes.
pub(super) fn short_hash(file: &Path) -> String {
    let hash = file
        .as_os_str()
        .as_bytes()
        .iter()
        .fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
        });
    format!("{hash:08x}")
}

/// A program: a path with a slash is relative to `folder`, a bare name is left to `PATH`.
pub(super) fn program(folder: &Path, text: &str) -> PathBuf {
    if text.contains('/') {
        folder.join(text)
    } else {
        PathBuf::from(text)
    }
}

/// A command whose program is resolved by [`program`].
pub(super) fn command(folder: &Path, mut words: Vec<String>) -> Vec<String> {
    if let Some(first) = words.first_mut() {
        // Loses nothing: a hall file whose own path is no UTF-8 is refused.
        *first = program(folder, first).to_string_lossy().into_owned();
    }
    words
}

/// `state_dir` and `socket`, or their defaults.
pub(super) fn read(
    root: &mut Table<'_>,
    folder: &Path,
    hash: &str,
    environment: &Environment,
) -> (PathBuf, PathBuf) {
    let named = |field: Field<'_>| field.filled().map(|text| folder.join(text)).optional();
    let state_dir = named(root.field("state_dir"))
        .or_else(|| default_state_dir(hash, environment))
        .unwrap_or_else(|| {
            root.error("there is no home folder to keep state in: name one by `state_dir`");
            PathBuf::new()
        });
    let field = root.field("socket");
    let socket = if field.is_set() {
        field
            .filled()
            .map(|text| folder.join(text))
            .then(check_socket)
            .or_default()
    } else {
        check_socket(default_socket(hash, &state_dir, environment))
            .inspect_err(|message| root.error(message))
            .unwrap_or_default()
    };
    (state_dir, socket)
}

fn default_state_dir(hash: &str, environment: &Environment) -> Option<PathBuf> {
    // Root's folders do not depend on variables: a login session of root has other ones than the
    // service manager, and the two must meet.
    let base = match environment.uid {
        0 => Some(PathBuf::from("/var/lib")),
        _ => environment.xdg_state_home.clone().or_else(|| {
            let home = environment.home.as_ref()?;
            Some(home.join(".local/state"))
        }),
    };
    base.map(|base| base.join("gladsheim").join(hash))
}

fn default_socket(hash: &str, state_dir: &Path, environment: &Environment) -> PathBuf {
    let runtime = match environment.uid {
        0 => Some(PathBuf::from("/run")),
        _ => environment.xdg_runtime_dir.clone(),
    };
    match runtime {
        Some(runtime) => runtime
            .join("gladsheim")
            .join(format!("gladsheim-{hash}.sock")),
        None => state_dir.join("gladsheim.sock"),
    }
}

/// Checks that a unix socket can have this path.
fn check_socket(path: PathBuf) -> Result<PathBuf, String> {
    match path.as_os_str().len() {
        0..=LONGEST_SOCKET_PATH => Ok(path),
        length => Err(format!(
            "the control socket's path {} has {length} bytes, and a unix socket's may have \
             {LONGEST_SOCKET_PATH}: name a shorter one, for example socket = \"/run/gladsheim/hall.sock\"",
            path.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a_and_stays_it() {
        // Test vectors of the algorithm's authors.
        for (text, hash) in [("", "811c9dc5"), ("a", "e40c292c"), ("foobar", "bf9cf968")] {
            assert_eq!(short_hash(Path::new(text)), hash, "{text}");
        }
    }

    #[test]
    fn programs_with_a_slash_lie_beside_the_hall_file() {
        for (text, expected) in [
            ("bin/thor", "/srv/bin/thor"),
            ("./thor", "/srv/./thor"),
            ("thor", "thor"),
            ("/proc/self/exe", "/proc/self/exe"),
        ] {
            assert_eq!(
                program(Path::new("/srv"), text),
                Path::new(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn a_socket_path_has_at_most_107_bytes() {
        assert_eq!(
            check_socket("s".repeat(107).into()),
            Ok("s".repeat(107).into())
        );
        let message = check_socket("s".repeat(108).into()).expect_err("is too long");
        assert!(
            message.contains("108 bytes") && message.contains("socket = "),
            "{message}"
        );
    }
}
