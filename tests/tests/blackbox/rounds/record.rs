//! What a service says that it has written, against what its log has.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::PathBuf,
};

/// A line of a run: pid and number.
type Line = (u32, u64);

/// The lines of one service.
#[derive(Debug, Default)]
pub(super) struct Lines {
    records: Vec<Tail>,
    log: Tail,
    noted: BTreeSet<Line>,
    logged: BTreeMap<Line, u32>,
    /// Runs that the daemon had born and told nobody of when it was killed: the next one ends them.
    untold: BTreeSet<u32>,
}

impl Lines {
    pub(super) fn new(records: Vec<PathBuf>, log: PathBuf) -> Self {
        Self {
            records: records.into_iter().map(Tail::new).collect(),
            log: Tail::new(log),
            ..Self::default()
        }
    }

    pub(super) fn forgive(&mut self, pid: u32) {
        self.untold.insert(pid);
    }

    /// Reads what was noted up to now: what the log must come to have.
    pub(super) fn read_records(&mut self) {
        for record in &mut self.records {
            let lines = record.lines();
            self.noted
                .extend(lines.iter().filter_map(|text| line(text)));
        }
    }

    /// Reads what has come to the log.
    pub(super) fn read_log(&mut self) {
        for text in self.log.lines() {
            // Behind time and stream; `ready` has no number.
            if let Some(line) = text.splitn(3, ' ').nth(2).and_then(line) {
                *self.logged.entry(line).or_default() += 1;
            }
        }
    }

    /// What is wrong now and may come right.
    pub(super) fn complaint(&self) -> Option<String> {
        let twice = self.logged.iter().find(|(_, count)| **count > 1);
        let mut missing = self
            .noted
            .iter()
            .filter(|line| !self.logged.contains_key(line));
        let missing = missing.find(|line| !self.untold.contains(&line.0));
        match (twice, missing) {
            (Some((line, count)), _) => Some(format!("line {line:?} is in the log {count} times")),
            (None, Some(line)) => Some(format!("line {line:?} is not in the log")),
            (None, None) => None,
        }
    }
}

/// `PID NUMBER …`
fn line(text: &str) -> Option<Line> {
    let mut words = text.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

/// A file that grows.
#[derive(Debug, Default)]
struct Tail {
    path: PathBuf,
    read: u64,
}

impl Tail {
    fn new(path: PathBuf) -> Self {
        Self { path, read: 0 }
    }

    /// The whole lines that have come.
    fn lines(&mut self) -> Vec<String> {
        let mut text = Vec::new();
        if let Ok(mut file) = File::open(&self.path) {
            file.seek(SeekFrom::Start(self.read)).unwrap();
            file.read_to_end(&mut text).unwrap();
        }
        text.truncate(
            text.iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |end| end + 1),
        );
        self.read += text.len() as u64;
        String::from_utf8(text)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    }
}
