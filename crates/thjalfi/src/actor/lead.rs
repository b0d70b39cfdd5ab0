//! Another process of the tree becomes the leader, since the service says so.

use std::io;

use super::{Phase, Supervisor};
use crate::{keeper::Key, main_process::MainProcess, output::Output, tree::Membership};

impl Supervisor {
    /// The process that the service takes for the main one is the leader from now on, if it is one of its own.
    pub(super) fn follow(&mut self, pid: u32) {
        let before = self.leader.pid();
        // Once the leader has ended, nobody waits for readiness any more.
        if pid == before || self.ready.is_none() {
            return;
        }
        let main = MainProcess::open(
            pid,
            Membership {
                leader: before,
                cgroup: self.child.cgroup().as_deref(),
                mark: self.child.mark().as_deref(),
            },
        );
        let main = match main {
            Ok(main) => main,
            Err(error) => {
                tracing::warn!(service = self.service_name, pid, %error, "MAINPID is ignored");
                return;
            }
        };
        let pipes = self.output.iter().flat_map(Output::descriptors);
        let held = std::iter::once(main.descriptor()).chain(pipes).collect();
        self.keeper.hold(Key::run(&self.service_name, pid), held);
        self.keeper.release(Key::run(&self.service_name, before));
        self.slots.lead(&self.service_name, before, pid);
        if let Some((_, notifier)) = &self.notices {
            notifier.lead(before, pid);
        }
        self.leader.change(pid, main.target());
        self.main = Some(main);
        tracing::info!(
            service = self.service_name,
            pid,
            before,
            "another process is its leader, by MAINPID"
        );
    }

    /// After the end of the leader that was started: whether it has named another one before.
    pub(super) fn is_followed(&mut self, phase: &mut Phase) -> bool {
        self.catch_up(phase);
        if self.main.is_some() {
            self.forget_first();
        }
        self.main.is_some()
    }

    pub(super) fn on_first_ended(&mut self, phase: &mut Phase) {
        self.catch_up(phase);
        self.forget_first();
    }

    fn forget_first(&mut self) {
        self.first_ended = true;
        if let Some((_, notifier)) = &self.notices {
            notifier.forget_earlier(self.leader.pid(), self.child.pid());
        }
    }

    /// Hears what was said up to now.
    fn catch_up(&mut self, phase: &mut Phase) {
        if let Some((_, notifier)) = &self.notices {
            notifier.catch_up();
        }
        while let Some((notices, _)) = &mut self.notices
            && let Ok(notice) = notices.try_recv()
        {
            self.on_notice(notice, phase);
        }
    }

    /// Asks what the leader has left to end, the process that was started as well.
    pub(super) fn signal_rest(&mut self) -> io::Result<()> {
        if self.main.is_some() && !self.first_ended {
            match self.child.leader().signal(self.stop_signal) {
                Err(error) if error.raw_os_error() != Some(libc::ESRCH) => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        self.child.signal_tree(self.stop_signal)
    }
}
