//! A daemon under test: the real binary in a folder of its own, with everything ended when it is dropped.

use std::{
    env, fs,
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    cgroup,
    cli::{self, Output},
    process::{MARKER, Process, keeper, processes},
    wait_until,
};

/// Path of a binary of this package, for example `svc-obedient`.
///
/// # Panics
///
/// If it was not built: only tests of this package can use it.
#[track_caller]
pub fn bin(name: &str) -> PathBuf {
    let test = env::current_exe().expect("the test has a path");
    let found = test
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{name} is not beside {}", test.display()))
}

/// A hall in a temporary folder and, while it lives, its daemon.
#[derive(Debug)]
pub struct TestDaemon {
    folder: TempDir,
    child: Option<Child>,
}

impl TestDaemon {
    /// A hall with `services` in its file, not running yet. State folder and socket lie in its folder.
    pub fn prepare(services: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("hall-")
            .tempdir()
            .expect("the temporary folder is writable");
        let hall = Self {
            folder,
            child: None,
        };
        hall.write_hall(services);
        hall
    }

    /// A daemon whose socket answers.
    #[track_caller]
    pub fn start(services: &str) -> Self {
        let mut hall = Self::prepare(services);
        hall.spawn();
        hall
    }

    /// Replaces the hall file. `GLADSHEIM_TEST_CONTAINMENT` says how trees are held together,
    /// unless `services` begins with that.
    pub fn write_hall(&self, services: &str) {
        let chosen = env::var("GLADSHEIM_TEST_CONTAINMENT");
        let containment = match chosen.as_deref().unwrap_or("auto") {
            _ if services.starts_with("containment") => String::new(),
            mode => format!("containment = \"{mode}\"\n"),
        };
        let text =
            format!("state_dir = \"state\"\nsocket = \"hall.sock\"\n{containment}{services}\n");
        fs::write(self.hall_file(), text).expect("is written");
    }

    /// Starts the daemon and waits until its socket answers.
    #[track_caller]
    pub fn spawn(&mut self) {
        let mut command = self.daemon_command();
        self.spawn_by(|| command.spawn().expect("spawns"));
    }

    /// Starts the daemon in another way, and waits until its socket answers.
    #[track_caller]
    pub fn spawn_by(&mut self, spawn: impl FnOnce() -> Child) {
        assert!(self.child.is_none(), "it runs already");
        self.child = Some(spawn());
        wait_until("the daemon's socket", || {
            if let Some(status) = self.try_wait() {
                panic!("the daemon ended at once: {status}\n{}", self.log());
            }
            UnixStream::connect(self.socket()).ok()
        });
    }

    /// The command that runs the daemon, its output in `daemon.log`.
    pub fn daemon_command(&self) -> Command {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("daemon.log"))
            .expect("opens");
        let mut command = self.command();
        command
            .arg("daemon")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a descriptor is free"))
            .stderr(log);
        command
    }

    /// `gladsheim --hall FILE`, without arguments yet, away from the machine's own halls. Marked: `up` may
    /// become a daemon, or leave one.
    pub fn command(&self) -> Command {
        let mut command = Command::new(bin("gladsheim-under-test"));
        command.arg("--hall").arg(self.hall_file());
        command.env(MARKER, self.marker());
        for own in [
            "GLADSHEIM_HALL",
            "GLADSHEIM_SOCKET",
            "NOTIFY_SOCKET",
            "XDG_RUNTIME_DIR",
        ] {
            command.env_remove(own);
        }
        for home in ["HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"] {
            command.env(home, self.folder.path());
        }
        command
    }

    /// Runs a command of the command line to its end.
    #[track_caller]
    pub fn cli<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Output {
        cli::run(self.command().args(arguments))
    }

    /// Status of one service, as JSON.
    #[track_caller]
    pub fn status(&self, service: &str) -> Value {
        let output = self
            .cli(["--format", "json", "status", service])
            .expect_code(0);
        output.json()[0].take()
    }

    /// Waits until the status of a service is as `wanted`, and returns it.
    #[track_caller]
    pub fn wait_for_status(
        &self,
        service: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        wait_until(&format!("{service} to be {what}"), || {
            Some(self.status(service)).filter(&wanted)
        })
    }

    /// Waits until a service is in a state, and returns its status.
    #[track_caller]
    pub fn wait_for_state(&self, service: &str, state: &str) -> Value {
        self.wait_for_status(service, state, |status| status["state"] == state)
    }

    /// A path in the hall's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The hall file.
    pub fn hall_file(&self) -> PathBuf {
        self.path("gladsheim.toml")
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.path("hall.sock")
    }

    /// What the daemon has said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("daemon.log")).unwrap_or_default()
    }

    /// Waits until a helper service has written its pid into a file of this name, and returns it.
    #[track_caller]
    pub fn pid_in(&self, name: &str) -> u32 {
        let path = self.path(name);
        wait_until(&format!("a pid in {name}"), || {
            fs::read_to_string(&path).ok()?.trim().parse().ok()
        })
    }

    /// Pid of the daemon.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Sends a signal to the daemon, our own child.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid() as i32), signal).expect("an unreaped child can be signalled");
    }

    /// Waits for the daemon's end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let status = wait_until("the daemon's end", || self.try_wait());
        self.child = None;
        status
    }

    fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child
            .as_mut()
            .expect("it runs")
            .try_wait()
            .expect("a child can be waited for")
    }

    /// The keeper of this hall, if one listens; it carries no marker and is in no folder.
    pub fn keeper(&self) -> Option<Process> {
        let daemon = self.child.as_ref().map(Child::id);
        // Of one that is just being started, the socket is still the daemon's.
        keeper(&self.path("state/keeper")).filter(|keeper| Some(keeper.pid) != daemon)
    }

    /// All living processes of this hall but the daemon itself and its keeper.
    pub fn processes(&self) -> Vec<Process> {
        let daemon = self.child.as_ref().map(Child::id);
        let mut all = processes(&self.marker(), self.folder.path());
        all.retain(|process| Some(process.pid) != daemon);
        all
    }

    fn marker(&self) -> String {
        self.folder.path().display().to_string()
    }
}

impl Drop for TestDaemon {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // The daemon first, or it would bring its services back. Asked twice it kills what is left and
            // removes its cgroups; one that does not end is killed.
            for signal in [Signal::SIGTERM, Signal::SIGINT] {
                // One that was reaped already has no pid any more.
                if !matches!(child.try_wait(), Ok(None)) {
                    break;
                }
                let _ = kill(Pid::from_raw(child.id() as i32), signal);
            }
            patiently(|| !matches!(child.try_wait(), Ok(None)));
            let _ = child.kill().and_then(|()| child.wait());
        }
        self.child = None;
        // Again and again: one that is just being born is not seen at first.
        patiently(|| {
            let leftovers = self.processes();
            leftovers.iter().for_each(Process::kill);
            leftovers.is_empty()
        });
        // It would wait for another daemon.
        if let Some(keeper) = self.keeper() {
            keeper.kill();
        }
        cgroup::remove_of(&self.hall_file());
        if thread::panicking() {
            crate::helper::complain(&format!("--- the daemon said:\n{}", self.log()));
        }
    }
}

/// Tries again for a while, and no longer: a process may be stuck in the kernel, and a drop must not panic.
fn patiently(mut done: impl FnMut() -> bool) {
    for _ in 0..500 {
        if done() {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// The section of a hall file that runs a helper service; more keys may be appended.
#[track_caller]
pub fn service(name: &str, program: &str, arguments: &[&str]) -> String {
    // JSON's strings and arrays of strings are TOML's too.
    let path = Value::from(bin(program).to_str().expect("is UTF-8"));
    let arguments = Value::from(arguments.to_vec());
    format!("[services.{name}]\npath = {path}\nargs = {arguments}\n")
}
