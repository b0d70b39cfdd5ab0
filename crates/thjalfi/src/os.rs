//! The real processes: a leader held by its pidfd, and its tree in a cgroup or a session.

use std::{
    collections::HashSet,
    ffi::CString,
    fs::{self, File},
    io::{self, ErrorKind, Read, Seek},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::PermissionsExt},
    },
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use async_trait::async_trait;
use tokio::io::unix::AsyncFd;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{
    ChildProcess, Containment, Descriptor, ProcessIdentity, ProcessSpawner, Signal, SignalTarget,
    SpawnSpec,
    adopted::AdoptedChild,
    capability,
    cgroup::{Group, Hall},
    env,
    error::{SpawnError, Stage},
    exec::{self, Plan},
    leftover, limits, procfs, reaper,
    session::{self, LEADERS, Session},
    socket,
    spawn::program_path,
    sys::{self, Pidfd},
};

/// Starts real processes and contains them as configured.
///
/// Where children are inherited (session containment, or as PID 1), orphans are reaped until the
/// spawner is dropped.
#[derive(Debug)]
pub struct OsSpawner {
    containment: Containment,
    cgroup_name: Option<String>,
    active: OnceLock<Result<Active, String>>,
    reaper: OnceLock<()>,
    held: Mutex<Held>,
    tasks: TaskTracker,
    cancel: CancellationToken,
    _cancel_on_drop: DropGuard,
}

/// The trees that were adopted.
#[derive(Debug, Clone, Default)]
struct Held {
    groups: HashSet<PathBuf>,
    marks: HashSet<String>,
}

/// The containment that this machine allows.
#[derive(Debug)]
enum Active {
    Cgroup(Arc<Hall>),
    Session,
}

impl OsSpawner {
    /// Nothing is opened before the first start.
    pub fn new(containment: Containment, cgroup_name: Option<String>) -> Self {
        let cancel = CancellationToken::new();
        Self {
            containment,
            cgroup_name,
            active: OnceLock::new(),
            reaper: OnceLock::new(),
            held: Mutex::default(),
            tasks: TaskTracker::new(),
            _cancel_on_drop: cancel.clone().drop_guard(),
            cancel,
        }
    }

    fn active(&self) -> &Result<Active, String> {
        self.active.get_or_init(|| {
            let session = || match sys::become_subreaper() {
                Ok(()) => Ok(Active::Session),
                Err(error) => Err(error.to_string()),
            };
            let cgroup = || Hall::find(self.cgroup_name.as_deref()).map(Active::Cgroup);
            match self.containment {
                Containment::Session => session(),
                Containment::Cgroup => cgroup().map_err(|error| error.to_string()),
                Containment::Auto => cgroup().or_else(|error| {
                    tracing::info!(%error, "no writable cgroup2 tree: sessions contain the services");
                    session()
                }),
            }
        })
    }

    fn start_reaper(&self) {
        self.reaper.get_or_init(|| match reaper::children() {
            Ok(children) => {
                self.tasks.spawn(reaper::run(children, self.cancel.clone()));
            }
            Err(error) => tracing::warn!(%error, "orphans will not be reaped"),
        });
    }
}

#[async_trait]
impl ProcessSpawner for OsSpawner {
    async fn spawn(&self, spec: SpawnSpec) -> Result<Box<dyn ChildProcess>, SpawnError> {
        let active = self.active().as_ref().map_err(|error| {
            SpawnError::new(Stage::Cgroup, None, io::Error::other(error.clone()))
                .hint("containment = \"session\" needs none")
        })?;
        let (child, pid) = match active {
            Active::Cgroup(hall) => {
                if std::process::id() == 1 {
                    self.start_reaper();
                }
                let failed = |error| SpawnError::new(Stage::Cgroup, None, error);
                let opened = hall.open_group(&spec.service_name).await;
                let (group, folder) = opened.map_err(failed)?;
                let (pid, pidfd) = execute(&spec, &[], Some(folder.as_fd()))?;
                (OsChild::new(pid, pidfd, Tree::Group(group)), pid)
            }
            Active::Session => {
                self.start_reaper();
                let mark = session::new_mark(self.cgroup_name.as_deref().unwrap_or_default());
                let extra = [(session::MARK.to_owned(), mark.clone())];
                let started = procfs::now();
                let (pid, pidfd) = execute(&spec, &extra, None)?;
                (
                    OsChild::new(pid, pidfd, Tree::Session(Session::new(pid, mark, started))),
                    pid,
                )
            }
        };
        child
            .map(|child| Box::new(child) as Box<dyn ChildProcess>)
            .map_err(|error| {
                LEADERS.forget(pid);
                SpawnError::new(Stage::Clone, None, error)
            })
    }

    async fn adopt(
        &self,
        service_name: &str,
        identity: &ProcessIdentity,
        pidfd: Option<OwnedFd>,
    ) -> io::Result<Box<dyn ChildProcess>> {
        let hall = match self.active() {
            Ok(Active::Cgroup(hall)) => Some(hall),
            Ok(Active::Session) | Err(_) => None,
        };
        if matches!(self.active(), Ok(Active::Session)) {
            // A daemon that has executed itself anew is still the one to whom orphans come.
            self.start_reaper();
        }
        let child = AdoptedChild::new(service_name, identity, pidfd.map(Pidfd::new), hall)?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.groups.extend(child.cgroup());
        held.marks.extend(child.mark());
        Ok(Box::new(child))
    }

    async fn end_leftovers(&self) -> io::Result<()> {
        let held = self
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if reaper::has_inherited_children()? {
            self.start_reaper();
        }
        match (self.active(), &self.cgroup_name) {
            (Ok(Active::Cgroup(hall)), Some(_)) => leftover::end_groups(hall, &held.groups).await,
            (Ok(Active::Session), Some(name)) => leftover::end_marked(name, &held.marks).await,
            // Without a name of its own, a hall has no later daemon.
            (_, None) | (Err(_), _) => Ok(()),
        }
    }

    fn forget(&self, service_name: &str) {
        if let Some(Ok(Active::Cgroup(hall))) = self.active.get() {
            hall.forget(service_name);
        }
    }

    fn containment(&self) -> &'static str {
        match (self.active(), self.containment) {
            (Ok(Active::Cgroup(_)), _) | (Err(_), Containment::Cgroup) => "cgroup",
            (Ok(Active::Session) | Err(_), _) => "session",
        }
    }
}

/// Makes the plan and carries it out.
fn execute(
    spec: &SpawnSpec,
    extra_env: &[(String, String)],
    cgroup: Option<BorrowedFd<'_>>,
) -> Result<(u32, Pidfd), SpawnError> {
    let options = &spec.options;
    let program = program_path(&spec.program);
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(|error| SpawnError::new(Stage::Output, "/dev/null".to_owned(), error))?;
    let (stdout, stderr) = match &spec.output {
        Some((stdout, stderr)) => (stdout.as_fd(), stderr.as_fd()),
        None => (null.as_fd(), null.as_fd()),
    };
    let extra: Vec<_> = spec.extra_env.iter().chain(extra_env).cloned().collect();
    let arguments = spec.args.iter().map(|argument| argument.as_bytes());
    let identity = spec.identity.as_ref();
    let executable = match (&spec.executable, spec.sockets.is_empty()) {
        (Some(file), false) => {
            let above = sys::copy_above(file.as_fd(), socket::beyond(&options.sockets));
            Some(above.map_err(|error| SpawnError::new(Stage::Socket, None, error))?)
        }
        (_, true) | (None, _) => None,
    };
    let executable = executable.as_ref().or(spec.executable.as_ref());
    let plan = Plan {
        args: [program.as_os_str().as_bytes()]
            .into_iter()
            .chain(arguments)
            .map(|argument| c_string("args", argument))
            .collect::<Result<_, _>>()?,
        program: c_string("path", program.as_os_str().as_bytes())?,
        executable: executable.map(|file| (file.as_fd(), is_script(file))),
        env: env::environment(options, &extra)?,
        sockets: spec.sockets.iter().map(AsFd::as_fd).collect(),
        stdio: [null.as_fd(), stdout, stderr],
        cgroup,
        working_dir: options
            .working_dir
            .as_ref()
            .map(|folder| c_string("working_dir", folder.as_os_str().as_bytes()))
            .transpose()?,
        umask: options.umask,
        nice: options.nice,
        oom_score_adj: options
            .oom_score_adj
            .map(|adjustment| c_string("oom_score_adj", adjustment.to_string().as_bytes()))
            .transpose()?,
        rlimits: limits::rlimits(options)?,
        identity: identity.map(|to| (to.uid, to.gid, to.groups.clone())),
        capabilities: options
            .capabilities
            .as_deref()
            .map(capability::mask)
            .transpose()?,
        no_new_privs: options.no_new_privs,
    };
    LEADERS
        .start(|| exec::run(&plan))
        .map_err(|(stage, error)| explain(stage, error, spec, &program))
}

fn c_string(what: &str, bytes: &[u8]) -> Result<CString, SpawnError> {
    CString::new(bytes)
        .map_err(|_| SpawnError::invalid(Stage::Options, what, "contains a NUL byte"))
}

/// A script's interpreter opens it by descriptor, so that one must stay open.
fn is_script(file: &OwnedFd) -> bool {
    let mut start = [0; 2];
    let read = file.try_clone().map(File::from).and_then(|mut file| {
        file.rewind()?;
        file.read_exact(&mut start)
    });
    read.is_ok() && start == *b"#!"
}

/// Adds what the failure was about and, where it is obvious, the way out.
fn explain(stage: Stage, source: io::Error, spec: &SpawnSpec, program: &Path) -> SpawnError {
    let options = &spec.options;
    let subject = match stage {
        Stage::Exec => Some(program.display().to_string()),
        Stage::Chdir => options
            .working_dir
            .as_ref()
            .map(|folder| folder.display().to_string()),
        Stage::Setuid | Stage::Initgroups => options.user.clone(),
        Stage::Setgid => options.group.clone().or_else(|| options.user.clone()),
        Stage::Nice => options.nice.map(|nice| nice.to_string()),
        Stage::OomScoreAdj => options
            .oom_score_adj
            .map(|adjustment| adjustment.to_string()),
        Stage::Options
        | Stage::Open
        | Stage::User
        | Stage::Group
        | Stage::EnvFile
        | Stage::PreStart
        | Stage::Output
        | Stage::Cgroup
        | Stage::Clone
        | Stage::Session
        | Stage::Rlimit
        | Stage::Capabilities
        | Stage::NoNewPrivs
        | Stage::Notify
        | Stage::Socket => None,
    };
    let switch = matches!(stage, Stage::Initgroups | Stage::Setgid | Stage::Setuid);
    let hint = if stage == Stage::Exec {
        exec_hint(source.kind(), program)
    } else if switch && source.kind() == ErrorKind::PermissionDenied {
        Some("only root can switch users")
    } else {
        None
    };
    let error = SpawnError::new(stage, subject, source);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn exec_hint(kind: ErrorKind, program: &Path) -> Option<&'static str> {
    let bare = !program.as_os_str().as_bytes().contains(&b'/');
    match (kind, fs::metadata(program)) {
        (ErrorKind::NotFound, Err(_)) if bare => Some("it is not in PATH"),
        (ErrorKind::NotFound, Ok(_)) => Some("the file exists, its interpreter does not"),
        (ErrorKind::PermissionDenied, Ok(file)) if file.is_dir() => {
            Some("it is a directory; name the file")
        }
        (ErrorKind::PermissionDenied, Ok(file)) if file.permissions().mode() & 0o111 == 0 => {
            Some("no execute bit; chmod +x helps")
        }
        (ErrorKind::PermissionDenied, Ok(_)) => {
            Some("the user may not enter a folder above it, or the file system is noexec")
        }
        _ => None,
    }
}

#[derive(Debug)]
enum Tree {
    Group(Group),
    Session(Session),
}

/// A running process that this program has started.
#[derive(Debug)]
struct OsChild {
    pid: u32,
    leader: AsyncFd<Arc<Pidfd>>,
    tree: Tree,
    reaped: bool,
}

impl OsChild {
    fn new(pid: u32, pidfd: Pidfd, tree: Tree) -> io::Result<Self> {
        Ok(Self {
            pid,
            leader: sys::watch_process(Arc::new(pidfd))?,
            tree,
            reaped: false,
        })
    }
}

#[async_trait]
impl ChildProcess for OsChild {
    fn pid(&self) -> u32 {
        self.pid
    }

    fn leader(&self) -> Arc<dyn SignalTarget> {
        Arc::clone(self.leader.get_ref()) as Arc<dyn SignalTarget>
    }

    fn pidfd(&self) -> Option<Descriptor> {
        Some(Arc::clone(self.leader.get_ref()) as Descriptor)
    }

    fn cgroup(&self) -> Option<PathBuf> {
        match &self.tree {
            Tree::Group(group) => Some(group.folder().to_owned()),
            Tree::Session(_) => None,
        }
    }

    fn mark(&self) -> Option<String> {
        match &self.tree {
            Tree::Group(_) => None,
            Tree::Session(session) => Some(session.mark().to_owned()),
        }
    }

    async fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            let mut ready = self.leader.readable().await?;
            LEADERS.may_be_reaped().await;
            let result = match self.leader.get_ref().reap(false) {
                Ok(None) => {
                    ready.clear_ready();
                    continue;
                }
                Ok(Some(status)) => Ok(status),
                Err(error) => Err(error),
            };
            LEADERS.forget(self.pid);
            self.reaped = true;
            if let Tree::Session(session) = &mut self.tree {
                session.set_reaped();
            }
            return result;
        }
    }

    fn signal_tree(&mut self, signal: Signal) -> io::Result<()> {
        match &mut self.tree {
            Tree::Group(group) => group.signal(signal),
            Tree::Session(session) => session.signal(signal),
        }
    }

    fn kill_tree(&mut self) -> io::Result<()> {
        if !self.reaped {
            // It may have ended just now.
            let _ = self.leader.get_ref().signal(Signal::Kill);
        }
        match &mut self.tree {
            Tree::Group(group) => group.kill((!self.reaped).then_some(self.pid)),
            Tree::Session(session) => {
                session.kill();
                Ok(())
            }
        }
    }

    async fn tree_gone(&mut self) -> io::Result<Vec<u32>> {
        match &mut self.tree {
            Tree::Group(group) => group.gone().await.map(|()| Vec::new()),
            Tree::Session(session) => session.gone().await,
        }
    }

    fn oom_kills(&self) -> u64 {
        match &self.tree {
            Tree::Group(group) => group.oom_kills(),
            Tree::Session(_) => 0,
        }
    }
}

impl Drop for OsChild {
    fn drop(&mut self) {
        LEADERS.forget(self.pid);
    }
}
