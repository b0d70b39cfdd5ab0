//! Which cgroups the kernel says something new of: its `memory.events` file is watched, not read.
//!
//! The count of OOM kills changes once in a blue moon, so a round that read it for every service would
//! pay for nothing. The kernel announces a change of the file; a round asks for announcements once, for
//! all services together.

use std::{collections::HashMap, path::Path};

use nix::{
    errno::Errno,
    sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor},
};

/// Watches the `memory.events` of all runs whose cgroup has one.
#[derive(Debug, Default)]
pub(crate) struct OomWatch {
    /// Opened for the first cgroup that has the file; it closes with the watch.
    inotify: Option<Inotify>,
    runs: HashMap<WatchDescriptor, u64>,
    /// Runs to be looked at again although nothing was announced.
    again: Vec<u64>,
}

/// OOM kills of a run, as its looks have counted them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OomCount {
    seen: u64,
    told: u64,
}

impl OomCount {
    /// Takes in a count; returns what an earlier look had seen and nobody has told yet. Where the leader was
    /// hit, the run has ended before the next look, and the end is what is told.
    pub(crate) fn step(&mut self, count: u64) -> Option<u64> {
        let kills = self.seen - self.told;
        self.told = self.seen;
        self.seen = self.seen.max(count);
        (kills > 0).then_some(kills)
    }

    /// Whether the next look will have something to tell.
    pub(crate) fn is_unsettled(self) -> bool {
        self.seen > self.told
    }
}

impl OomWatch {
    /// Begins to watch a run. A cgroup without the memory controller is left out, since nobody counts there.
    pub(crate) fn begin(&mut self, run: u64, cgroup: &Path) {
        let file = cgroup.join("memory.events");
        if !file.exists() {
            return;
        }
        if let Err(error) = self.add(run, &file) {
            tracing::warn!(file = %file.display(), %error, "OOM kills show only when the service ends");
        }
    }

    fn add(&mut self, run: u64, file: &Path) -> nix::Result<()> {
        let inotify = match self.inotify.take() {
            Some(inotify) => inotify,
            None => Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?,
        };
        let inotify = self.inotify.insert(inotify);
        let watch = inotify.add_watch(file, AddWatchFlags::IN_MODIFY)?;
        self.runs.insert(watch, run);
        Ok(())
    }

    /// Lets go of a run.
    pub(crate) fn end(&mut self, run: u64) {
        let Some(inotify) = &self.inotify else { return };
        self.runs.retain(|watch, watched| {
            let ended = *watched == run;
            if ended {
                // The cgroup may be gone already, and the watch with it.
                let _ = inotify.rm_watch(*watch);
            }
            !ended
        });
    }

    /// Has a run looked at next time too.
    pub(crate) fn look_again(&mut self, run: u64) {
        self.again.push(run);
    }

    /// The runs whose counts may have changed since this was last asked.
    pub(crate) fn stirred(&mut self) -> Vec<u64> {
        let mut stirred = std::mem::take(&mut self.again);
        let Some(inotify) = &self.inotify else {
            return stirred;
        };
        loop {
            match inotify.read_events() {
                Ok(events) if events.is_empty() => break,
                Ok(events) => {
                    for event in events {
                        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                            // Which ones, nobody knows any more.
                            stirred.extend(self.runs.values());
                        } else {
                            stirred.extend(self.runs.get(&event.wd));
                        }
                    }
                }
                Err(Errno::EAGAIN) => break,
                Err(error) => {
                    tracing::warn!(%error, "OOM kills show only when the service ends");
                    break;
                }
            }
        }
        stirred.sort_unstable();
        stirred.dedup();
        stirred
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn kills_are_told_once_and_a_look_later() {
        let mut count = OomCount::default();
        let told: Vec<_> = [1, 1, 1, 3, 4, 4, 4]
            .into_iter()
            .map(|kills| (count.step(kills), count.is_unsettled()))
            .collect();
        let expected = [
            (None, true),
            (Some(1), false),
            (None, false),
            (None, true),
            (Some(2), true),
            (Some(1), false),
            (None, false),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn only_what_was_written_to_has_stirred() {
        let folders = [0, 1].map(|_| tempfile::tempdir().expect("is made"));
        let mut watch = OomWatch::default();
        for (run, folder) in (1..).zip(&folders) {
            watch.begin(run, folder.path());
            assert_eq!(watch.stirred(), [], "without the file there is nothing");
            fs::write(folder.path().join("memory.events"), "oom_kill 0\n").expect("is written");
            watch.begin(run, folder.path());
        }
        let second = folders[1].path().join("memory.events");
        for _ in 0..2 {
            fs::write(&second, "oom_kill 1\n").expect("is written");
        }
        assert_eq!(watch.stirred(), [2]);
        watch.look_again(1);
        assert_eq!(watch.stirred(), [1]);
        assert_eq!(watch.stirred(), []);
        watch.end(2);
        fs::write(&second, "oom_kill 2\n").expect("is written");
        assert_eq!(watch.stirred(), []);
    }
}
