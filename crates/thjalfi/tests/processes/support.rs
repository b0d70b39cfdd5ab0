//! What the tests share: a loader of shell scripts, and facts that processes tell through FIFOs.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;
use thjalfi::{
    Containment, ServiceLoader, ServiceLoaderConfig, ServiceLoaderError, ServiceProcess,
    StartOptions,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    net::unix::pipe,
};

/// Nothing here takes this long; a test that would hang fails instead.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A loader and a folder of its own.
pub(crate) struct Hall {
    pub(crate) loader: ServiceLoader,
    pub(crate) folder: TempDir,
}

/// The containments that this machine offers; what it lacks is printed.
pub(crate) fn containments() -> Vec<Containment> {
    let loader = ServiceLoader::new(ServiceLoaderConfig::default());
    if loader.containment() == "cgroup" {
        vec![Containment::Cgroup, Containment::Session]
    } else {
        println!("skipped with cgroups: this machine has no writable cgroup2 tree");
        vec![Containment::Session]
    }
}

impl Hall {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn contained(containment: Containment) -> Self {
        Self::with(|config| config.containment = containment)
    }

    pub(crate) fn capturing() -> Self {
        Self::with(|config| config.log_dir = Some(PathBuf::new()))
    }

    /// `sh` is the service of all tests that only need some shell; an empty `log_dir` becomes one
    /// in the folder.
    pub(crate) fn with(configure: impl FnOnce(&mut ServiceLoaderConfig)) -> Self {
        let folder = TempDir::new().expect("a folder");
        let mut config = ServiceLoaderConfig {
            service_paths: HashMap::from([("sh".to_owned(), "/bin/sh".into())]),
            ..ServiceLoaderConfig::default()
        };
        configure(&mut config);
        if let Some(log_dir) = &mut config.log_dir {
            *log_dir = folder.path().to_owned();
        }
        Self {
            loader: ServiceLoader::new(config),
            folder,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A FIFO into which a script writes `echo fact >$FACTS`.
    pub(crate) fn facts(&self) -> Facts {
        let path = self.path("facts");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
        let pipe = pipe::OpenOptions::new()
            .read_write(true)
            .open_receiver(&path)
            .expect("opens");
        Facts {
            path,
            lines: BufReader::new(pipe).lines(),
        }
    }

    pub(crate) async fn run(&self, script: &str, facts: &Facts) -> ServiceProcess {
        self.loader
            .start_service("sh", facts.options(script))
            .await
            .expect("starts")
    }
}

pub(crate) struct Facts {
    path: PathBuf,
    lines: Lines<BufReader<pipe::Receiver>>,
}

impl Facts {
    /// Options that run a shell script which knows where to tell facts.
    pub(crate) fn options(&self, script: &str) -> StartOptions {
        let mut options = script_options(script);
        let path = self.path.display().to_string();
        options.env_vars.insert("FACTS".to_owned(), path);
        options
    }

    pub(crate) async fn next(&mut self) -> String {
        soon(self.lines.next_line())
            .await
            .expect("is read")
            .expect("never ends")
    }

    pub(crate) async fn pid(&mut self) -> u32 {
        self.next().await.trim().parse().expect("a pid")
    }
}

pub(crate) fn script_options(script: &str) -> StartOptions {
    StartOptions {
        args: vec!["-c".to_owned(), script.to_owned()],
        ..StartOptions::default()
    }
}

/// An executable script in the hall's folder.
pub(crate) fn executable(path: &Path, text: &str) {
    fs::write(path, text).expect("is written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("is executable");
}

#[track_caller]
pub(crate) fn soon<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(SOON, future).await {
            Ok(output) => output,
            Err(_) => panic!("nothing for {SOON:?} at {caller}"),
        }
    }
}

pub(crate) fn spawn_failure(result: Result<ServiceProcess, ServiceLoaderError>) -> String {
    match result {
        Err(ServiceLoaderError::SpawnFailed(text)) => text,
        other => panic!("{other:?}"),
    }
}

/// Whether a process exists and is no zombie.
pub(crate) fn lives(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat[stat.rfind(')').expect("a name")..].starts_with(") Z"))
}
