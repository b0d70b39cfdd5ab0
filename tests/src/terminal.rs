//! A real terminal: tmux, with a server of its own. What is on its screen is a fact to wait for.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

use crate::{skip, wait_until};

/// A program in a terminal. Dropping it ends both.
#[derive(Debug)]
pub struct Terminal {
    folder: TempDir,
}

impl Terminal {
    /// Runs `command` in a terminal of so many columns and rows; `None`, reported as skipped, without tmux.
    ///
    /// # Panics
    ///
    /// When tmux is there and does not start.
    #[track_caller]
    pub fn run(command: &Command, (columns, rows): (u16, u16)) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            skip("tmux is not installed");
            return None;
        }
        let folder = tempfile::Builder::new()
            .prefix("tmux-")
            .tempdir()
            .expect("the temporary folder is writable");
        let terminal = Self { folder };
        let mut tmux = terminal.tmux();
        copy_environment(command, &mut tmux);
        // More than one word is run as it is, without a shell.
        tmux.args(["new-session", "-d", "-x"])
            .arg(columns.to_string())
            .arg("-y")
            .arg(rows.to_string())
            .args(["env", "--"])
            .arg(command.get_program())
            .args(command.get_args());
        let started = tmux.output().expect("runs");
        assert!(started.status.success(), "{started:?}");
        Some(terminal)
    }

    /// Presses keys, by tmux's names for them: `x`, `Enter`, `Escape`, `Down`, `C-c`.
    #[track_caller]
    pub fn press(&self, keys: &[&str]) {
        self.ask(&[&["send-keys", "--"], keys].concat());
    }

    /// Types text as it is.
    #[track_caller]
    pub fn type_in(&self, text: &str) {
        self.ask(&["send-keys", "-l", "--", text]);
    }

    /// Gives the terminal another size.
    #[track_caller]
    pub fn resize(&self, columns: u16, rows: u16) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        self.ask(&["resize-window", "-x", &columns, "-y", &rows]);
    }

    /// What is on the screen, without colours.
    #[track_caller]
    pub fn screen(&self) -> String {
        self.ask(&["capture-pane", "-p"])
    }

    /// What is on the screen and has scrolled off it, with the escape sequences of its colours.
    #[track_caller]
    pub fn colored(&self) -> String {
        self.ask(&["capture-pane", "-p", "-e", "-S", "-"])
    }

    /// Whether a program has taken the whole screen over.
    #[track_caller]
    pub fn is_taken_over(&self) -> bool {
        self.ask(&["display-message", "-p", "#{alternate_on}"])
            .trim()
            == "1"
    }

    /// Waits until the screen is as `wanted`, and returns it.
    ///
    /// # Panics
    ///
    /// When it does not become so, with what is there instead.
    #[track_caller]
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_until(&format!("the screen to show {what}"), || {
                last = self.screen();
                wanted(&last).then(|| last.clone())
            })
        }));
        found.unwrap_or_else(|_| panic!("no {what} on the screen:\n{last}"))
    }

    /// Waits until all of these are on the screen, and returns it.
    #[track_caller]
    pub fn wait_for_text(&self, texts: &[&str]) -> String {
        self.wait_for(&format!("{texts:?}"), |screen| {
            texts.iter().all(|text| screen.contains(text))
        })
    }

    #[track_caller]
    fn ask(&self, arguments: &[&str]) -> String {
        let Output {
            status,
            stdout,
            stderr,
        } = self.tmux().args(arguments).output().expect("runs");
        let stderr = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "tmux {arguments:?}: {stderr}");
        String::from_utf8_lossy(&stdout).into_owned()
    }

    fn tmux(&self) -> Command {
        let mut tmux = Command::new("tmux");
        // Of the terminal that the tests themselves run in, nothing is wanted.
        tmux.env_remove("TMUX").env("LC_ALL", "C.UTF-8");
        tmux.args(["-u", "-f", "/dev/null", "-S"])
            .arg(Path::join(self.folder.path(), "socket"))
            .stdin(Stdio::null());
        tmux
    }
}

/// A shell that runs `script`, in which `"$@"` is `command`, with its environment.
pub fn in_shell(script: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]);
    shell.arg(command.get_program()).args(command.get_args());
    copy_environment(command, &mut shell);
    shell
}

fn copy_environment(from: &Command, to: &mut Command) {
    for (name, value) in from.get_envs() {
        match value {
            Some(value) => to.env(name, value),
            None => to.env_remove(name),
        };
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended with its program.
        let _ = self.tmux().arg("kill-server").output();
    }
}
