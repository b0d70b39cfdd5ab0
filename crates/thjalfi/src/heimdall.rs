//! The built-in authoriser: whom others can write to is not executed, and a pinned file is hashed.

use std::{
    collections::HashMap,
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use crate::authorize::{Admission, AuthorizeError, Authorizer, StartRequest};

const OTHERS_WRITE: u32 = 0o002;
const GROUP_WRITES: u32 = 0o020;
const STICKY: u32 = 0o1000;

/// The default policy.
///
/// Refused: a file that everybody may write to, or that lies directly in a folder that everybody may
/// write to, without the sticky bit, after links are resolved. Refused as well: a file whose SHA-256
/// is not the pinned one. The hash is taken from the opened file, and that file is executed, whatever
/// stands at the path by then; somebody who can write to the file itself can still change it. The
/// pin of a script covers the script, not its interpreter.
#[derive(Debug, Default)]
pub struct Heimdall {
    /// Digests of files as they were seen, so that an unchanged file is not hashed at each start.
    digests: Mutex<HashMap<Identity, String>>,
}

/// Changes with the content of a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Heimdall {
    fn known(&self, identity: &Identity) -> Option<String> {
        let digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        digests.get(identity).cloned()
    }

    async fn digest(&self, file: File) -> io::Result<(File, String)> {
        let identity = Identity::of(&file.metadata()?);
        if let Some(digest) = self.known(&identity) {
            return Ok((file, digest));
        }
        let (file, digest) = tokio::task::spawn_blocking(move || hash(file)).await??;
        let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        // A file that is replaced has a new identity; the old one goes.
        digests.retain(|known, _| (known.device, known.inode) != (identity.device, identity.inode));
        digests.insert(identity, digest.clone());
        Ok((file, digest))
    }
}

#[async_trait]
impl Authorizer for Heimdall {
    async fn authorize(&self, request: StartRequest) -> Result<Admission, AuthorizeError> {
        let Ok(path) = fs::canonicalize(&request.program) else {
            if request.sha256.is_none() {
                // Nothing to judge: `exec` tells why there is nothing.
                return Ok(Admission::default());
            }
            return Err(File::open(&request.program).err().map_or_else(
                || AuthorizeError::refused(&request.program, "is gone again"),
                AuthorizeError::from,
            ));
        };
        judge_mode(&request.service_name, &path)?;
        let Some(pin) = request.sha256 else {
            return Ok(Admission::default());
        };
        let (file, digest) = self.digest(File::open(&path)?).await?;
        if !digest.eq_ignore_ascii_case(&pin) {
            let reason = format!("has the SHA-256 {digest}, not the pinned one");
            return Err(AuthorizeError::refused(&path, &reason));
        }
        Ok(Admission {
            executable: Some(file),
        })
    }
}

fn judge_mode(service_name: &str, path: &Path) -> Result<(), AuthorizeError> {
    let file = fs::metadata(path)?;
    if file.is_file() && file.mode() & OTHERS_WRITE != 0 {
        let reason = format!("is world-writable; chmod o-w {} helps", path.display());
        return Err(AuthorizeError::refused(path, &reason));
    }
    if let Some(folder) = path.parent() {
        let mode = fs::metadata(folder)?.mode();
        if mode & OTHERS_WRITE != 0 && mode & STICKY == 0 {
            let folder = folder.display();
            let reason = format!("lies in a world-writable folder; chmod o-w {folder} helps");
            return Err(AuthorizeError::refused(path, &reason));
        }
    }
    let own = nix::unistd::geteuid().as_raw();
    if file.mode() & GROUP_WRITES != 0 || ![0, own].contains(&file.uid()) {
        tracing::warn!(service = service_name, path = %path.display(), "others may change this file");
    }
    Ok(())
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

fn hash(mut file: File) -> io::Result<(File, String)> {
    let mut hasher = Sha256::new();
    let mut block = vec![0; 64 * 1024];
    loop {
        match file.read(&mut block) {
            Ok(0) => break,
            Ok(read) => hasher.update(&block[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let digest = hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok((file, digest))
}
