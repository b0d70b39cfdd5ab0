//! One run of the command line, with all that it printed.

use std::{
    fs::File,
    io::{Read as _, Seek as _},
    process::{Command, ExitStatus, Stdio},
};

use serde_json::Value;

use crate::wait_until;

/// What a command printed and returned.
#[derive(Debug)]
pub struct Output {
    /// Exit code; `None` if it was ended by a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Standard output as one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// Standard output as one JSON document a line.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        let parse =
            |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.stdout.lines().map(parse).collect()
    }

    /// Itself, if the code is `code`.
    ///
    /// # Panics
    ///
    /// Otherwise, with all that was printed.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }
}

/// Runs `command` to its end, without standard input.
///
/// # Panics
///
/// When it does not end within the deadline of [`wait_until`]; it is killed then.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    // Files and no pipes: a service that has inherited one must not hold up the test.
    let (mut stdout, mut stderr) = (anonymous_file(), anonymous_file());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(stdout.try_clone().expect("a descriptor is free"))
        .stderr(stderr.try_clone().expect("a descriptor is free"))
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut guard = KillOnDrop(&mut child);
    let status = wait_until(&format!("the end of {command:?}"), || guard.try_wait());
    Output {
        code: status.code(),
        stdout: text(&mut stdout),
        stderr: text(&mut stderr),
    }
}

fn anonymous_file() -> File {
    tempfile::tempfile().expect("the temporary folder is writable")
}

fn text(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind()
        .and_then(|()| file.read_to_end(&mut bytes))
        .expect("is readable");
    String::from_utf8_lossy(&bytes).into_owned()
}

struct KillOnDrop<'a>(&'a mut std::process::Child);

impl KillOnDrop<'_> {
    fn try_wait(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("a child can be waited for")
    }
}

impl Drop for KillOnDrop<'_> {
    fn drop(&mut self) {
        // One that has been reaped is left alone by the standard library.
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}
