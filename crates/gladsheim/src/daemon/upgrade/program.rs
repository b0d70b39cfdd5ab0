//! The program that the daemon was started from, found again at its path, and tried out.

use std::{
    env,
    ffi::OsString,
    fs, io,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use gladsheim_proto::reason;
use tonic::{Code, Status};

use super::refused;

/// How long a program may take to say who it is, and whether it would go on with the hall.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks whether it has ended.
const PAUSE: Duration = Duration::from_millis(5);
/// The options by which a program is given a hall, and asked whether it would take it.
const HANDOVER: &str = "--handover";
const CHECK: &str = "--check-handover";

/// Where the daemon's program is, and its command line.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// This process's own; to be called before anybody replaces it.
    ///
    /// The path is the one that was called, with its links: what they mean later is what counts then.
    pub(crate) fn of_this_process() -> io::Result<Self> {
        let own = fs::metadata("/proc/self/exe")?;
        let is_own = |path: &PathBuf| {
            fs::metadata(path)
                .is_ok_and(|found| (found.dev(), found.ino()) == (own.dev(), own.ino()))
        };
        let mut arguments = env::args_os();
        let called = PathBuf::from(arguments.next().unwrap_or_default());
        let path = if called.as_os_str().as_bytes().contains(&b'/') {
            Some(env::current_dir()?.join(called)).filter(is_own)
        } else {
            let folders = env::var_os("PATH").unwrap_or_default();
            let mut found = env::split_paths(&folders).map(|folder| folder.join(&called));
            found.find(is_own)
        };
        Ok(Self {
            path: match path {
                Some(path) => path,
                None => env::current_exe()?,
            },
            arguments: without_handover(arguments),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The version that it says it has, if it would go on with the hall of this state folder and socket. Blocks.
    pub(super) fn try_out(&self, state_dir: &Path, socket: &Path) -> Result<String, Status> {
        let path = &self.path;
        let failed = |what: &str, detail: &str| {
            let detail = detail.trim();
            Err(refused(format!("{} {what}: {detail}", path.display())))
        };
        let version = match run(Command::new(path).arg("--version")) {
            Err(error) => return failed("cannot be executed", &error.to_string()),
            Ok((status, said, _)) => match said.trim().strip_prefix("gladsheim ") {
                Some(version) if status.success() => version.to_owned(),
                _ => return failed("is no gladsheim", &format!("it said {said:?}, {status}")),
            },
        };
        let mut check = Command::new(path);
        check
            .args(&self.arguments)
            .arg(CHECK)
            .args([state_dir, socket]);
        match run(&mut check) {
            Err(error) => failed("cannot be executed", &error.to_string()),
            Ok((status, ..)) if status.success() => Ok(version),
            // The diagnostics of a hall file, a line each.
            Ok((status, _, said)) if status.code() == Some(2) && said.contains(".toml:") => {
                let said = said.trim();
                Err(reason::status(
                    Code::InvalidArgument,
                    reason::HALL_FILE,
                    said,
                ))
            }
            Ok((_, _, said)) => failed("would not go on with this hall", &said),
        }
    }

    /// The command line that goes on with a handover.
    pub(super) fn arguments(&self, handover: &str) -> impl Iterator<Item = OsString> {
        let name = [self.path.clone().into_os_string()].into_iter();
        let more = [HANDOVER.into(), handover.into()];
        name.chain(self.arguments.clone()).chain(more)
    }
}

fn without_handover(mut arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut own = Vec::new();
    while let Some(argument) = arguments.next() {
        if argument == HANDOVER {
            arguments.next();
        } else {
            own.push(argument);
        }
    }
    own
}

/// Runs a program that says little to its end: its status, output and errors.
fn run(command: &mut Command) -> io::Result<(ExitStatus, String, String)> {
    let command = command.stdin(Stdio::null());
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let begun = Instant::now();
    while child.try_wait()?.is_none() {
        if begun.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            let text = format!("it does not end within {PATIENCE:?}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        sleep(PAUSE);
    }
    let output = child.wait_with_output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status, text(&output.stdout), text(&output.stderr)))
}

#[cfg(test)]
mod tests {
    use super::without_handover;

    #[test]
    fn an_earlier_handover_is_left_out_of_the_command_line() {
        let words = |text: &str| text.split(' ').map(Into::into).collect::<Vec<_>>();
        let own = without_handover(words("--hall a daemon --handover 1,2,3,4").into_iter());
        assert_eq!(own, words("--hall a daemon"));
    }
}
