//! What the machine and the process say beside the hall file. Handed in, so that reading is pure.

use std::{env, ffi::OsString, path::PathBuf, thread};

/// The part of the process's surroundings that a hall file's meaning depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Effective user id; 0 is root.
    pub uid: u32,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`.
    pub xdg_config_home: Option<PathBuf>,
    /// `XDG_STATE_HOME`.
    pub xdg_state_home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`, else `/run/user/UID` where there is one.
    pub xdg_runtime_dir: Option<PathBuf>,
    /// `GLADSHEIM_HALL`.
    pub gladsheim_hall: Option<PathBuf>,
    /// The current folder.
    pub current_dir: PathBuf,
    /// `PATH`.
    pub path: Option<OsString>,
    /// CPUs of the machine; at least 1.
    pub cpus: usize,
}

impl Environment {
    /// The surroundings of this process.
    pub fn of_process() -> Self {
        let uid = nix::unistd::geteuid().as_raw();
        // The XDG base directory specification: relative paths are to be ignored.
        let folder = |name| filled(name).filter(|path| path.is_absolute());
        let logind_folder = PathBuf::from(format!("/run/user/{uid}"));
        Self {
            uid,
            home: folder("HOME"),
            xdg_config_home: folder("XDG_CONFIG_HOME"),
            xdg_state_home: folder("XDG_STATE_HOME"),
            // A cron job has no XDG_RUNTIME_DIR, and must find the daemon of its user's session.
            xdg_runtime_dir: folder("XDG_RUNTIME_DIR")
                .or_else(|| logind_folder.is_dir().then_some(logind_folder)),
            gladsheim_hall: filled("GLADSHEIM_HALL"),
            // A folder that was removed under us has no files either way.
            current_dir: env::current_dir().unwrap_or_default(),
            path: env::var_os("PATH"),
            cpus: thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

fn filled(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}
