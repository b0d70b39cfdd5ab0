//! One process of a tree, measured through a descriptor that is kept open.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use nix::{
    errno::Errno,
    sys::time::TimeSpec,
    time::{ClockId, clock_getcpuclockid, clock_gettime},
    unistd::{Pid, SysconfVar},
};

use super::{
    stat::{Stat, Statm, keyed, parse_stat, parse_statm},
    system::{most_descriptors, read},
};

/// What the members of all trees share.
#[derive(Debug)]
pub(super) struct Proc {
    pub(super) root: PathBuf,
    pub(super) buffer: Vec<u8>,
    pub(super) page_bytes: u64,
    /// Each open descriptor holds one clone.
    permits: Arc<()>,
    /// Most descriptors that may stay open; the others are opened for each reading.
    pub(super) max_open: usize,
    /// Whether a number means the same process here as for the system's clocks.
    clocks: bool,
}

impl Proc {
    pub(super) fn new(root: PathBuf) -> Self {
        let own = std::process::id().to_string();
        let is_ours = fs::read_link("/proc/self").is_ok_and(|link| link == Path::new(&own));
        let clocks = is_ours && root == Path::new("/proc");
        let page_bytes = nix::unistd::sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
        Self {
            root,
            buffer: Vec::new(),
            page_bytes: page_bytes
                .and_then(|bytes| u64::try_from(bytes).ok())
                .unwrap_or(4096),
            permits: Arc::new(()),
            max_open: most_descriptors(),
            clocks,
        }
    }

    /// Reads `/proc/PID/stat` through a descriptor opened for it.
    pub(super) fn stat(&mut self, pid: u32) -> io::Result<Stat> {
        let file = self.open(pid, "stat")?;
        self.stat_from(&file)
    }

    fn stat_from(&mut self, file: &File) -> io::Result<Stat> {
        parse_stat(read(file, &mut self.buffer)?).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn open(&self, pid: u32, file: &str) -> io::Result<File> {
        File::open(self.root.join(format!("{pid}/{file}")))
    }

    fn statm_from(&mut self, file: &File) -> io::Result<Statm> {
        parse_statm(read(file, &mut self.buffer)?).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Whether a number is that of a process, and not of one of its further threads.
    pub(super) fn is_process(&mut self, pid: u32) -> bool {
        let Ok(status) = self.open(pid, "status") else {
            return false;
        };
        let text = read(&status, &mut self.buffer);
        text.is_ok_and(|text| keyed(text, "Tgid:") == Some(u64::from(pid)))
    }

    /// The clock that counts the CPU time of a process.
    fn clock(&self, pid: u32) -> Option<ClockId> {
        let pid = i32::try_from(pid).ok().filter(|_| self.clocks)?;
        clock_getcpuclockid(Pid::from_raw(pid)).ok()
    }

    pub(super) fn permit(&self) -> Option<Arc<()>> {
        (Arc::strong_count(&self.permits) <= self.max_open).then(|| Arc::clone(&self.permits))
    }
}

/// A process that belongs to a tree, until it is reaped.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) pid: u32,
    source: Source,
    pub(super) own_ticks: u64,
    pub(super) reaped_ticks: u64,
    started: u64,
    /// What its clock said at the last reading, and that reading: as long as the clock stands still, nothing of
    /// its own has changed, and to ask a clock costs a tenth of reading `stat`.
    clock: Option<ClockId>,
    known: Option<(TimeSpec, Reading)>,
    /// Resident pages when `pages` was read.
    resident: u64,
    pages: Statm,
    /// Shared memory in bytes, and the shared pages when it was read.
    shared_memory: u64,
    shared_memory_read_at: Option<u64>,
}

#[derive(Debug)]
enum Source {
    /// Memory only: the tree's CPU time is known otherwise. A third of the cost of `stat`.
    Statm(
        File,
        #[expect(dead_code, reason = "held, never read")] Arc<()>,
    ),
    Stat(
        File,
        #[expect(dead_code, reason = "held, never read")] Arc<()>,
    ),
    /// No descriptor is left for it.
    Anew,
}

/// Whether the CPU time that a process has used before it is taken in counts at its first reading.
#[derive(Debug, Clone, Copy)]
pub(super) enum Past {
    /// It was born since the last look, so all its time is of this interval.
    Counts,
    /// It is older, and was found late.
    IsOver,
}

/// What one reading adds to the sums of a tree.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) alive: bool,
    pub(super) private_bytes: u64,
    pub(super) shared_memory_bytes: u64,
    /// Ticks since the last reading.
    pub(super) own_ticks: u64,
    pub(super) reaped_ticks: u64,
}

impl Member {
    /// Takes in a process.
    pub(super) fn new(
        proc: &mut Proc,
        pid: u32,
        memory_only: bool,
        past: Past,
    ) -> io::Result<Self> {
        let stat = proc.stat(pid)?;
        let source = match proc.permit() {
            Some(permit) if memory_only => Source::Statm(proc.open(pid, "statm")?, permit),
            Some(permit) => Source::Stat(proc.open(pid, "stat")?, permit),
            None => Source::Anew,
        };
        let (own_ticks, reaped_ticks) = match past {
            Past::Counts => (0, 0),
            Past::IsOver => (stat.own_ticks, stat.reaped_ticks),
        };
        // Its cgroup says in one reading whether any member has worked.
        let clock = proc.clock(pid).filter(|_| !memory_only);
        Ok(Self {
            pid,
            source,
            clock,
            known: None,
            own_ticks,
            reaped_ticks,
            started: stat.started,
            resident: 0,
            pages: Statm::default(),
            shared_memory: 0,
            shared_memory_read_at: None,
        })
    }

    /// Reads the counters. `thoroughly` renews what is read at a slower pace.
    ///
    /// # Errors
    ///
    /// What the system said; [`is_gone`] knows a process that is reaped.
    pub(super) fn measure(&mut self, proc: &mut Proc, thoroughly: bool) -> io::Result<Reading> {
        // Before the counters: what happens meanwhile shows next time.
        let clock = self.clock.and_then(|clock| clock_gettime(clock).ok());
        if let Some((stood, reading)) = self.known
            && !thoroughly
            && clock == Some(stood)
        {
            return Ok(reading);
        }
        self.known = None;
        let reading = self.read(proc, thoroughly)?;
        let still = Reading {
            own_ticks: 0,
            reaped_ticks: 0,
            ..reading
        };
        self.known = clock.map(|clock| (clock, still));
        Ok(reading)
    }

    fn read(&mut self, proc: &mut Proc, thoroughly: bool) -> io::Result<Reading> {
        let mut reading = Reading {
            alive: true,
            private_bytes: 0,
            shared_memory_bytes: 0,
            own_ticks: 0,
            reaped_ticks: 0,
        };
        let stat = match &self.source {
            Source::Statm(file, _) => {
                self.pages = proc.statm_from(file)?;
                reading.alive = self.pages.resident > 0;
                None
            }
            Source::Stat(file, _) => Some(proc.stat_from(file)?),
            Source::Anew => Some(proc.stat(self.pid)?),
        };
        if let Some(stat) = stat {
            if stat.started != self.started {
                // The number has passed to another process.
                return Err(io::ErrorKind::NotFound.into());
            }
            reading.alive = !stat.is_zombie();
            reading.own_ticks = stat.own_ticks.saturating_sub(self.own_ticks);
            reading.reaped_ticks = stat.reaped_ticks.saturating_sub(self.reaped_ticks);
            (self.own_ticks, self.reaped_ticks) = (stat.own_ticks, stat.reaped_ticks);
            // The split into private and shared is read again only if the sum has changed.
            if !reading.alive {
                self.pages = Statm::default();
            } else if thoroughly || stat.resident != self.resident {
                let file = proc.open(self.pid, "statm")?;
                self.pages = proc.statm_from(&file)?;
                self.resident = stat.resident;
            }
        }
        if reading.alive {
            self.read_shared_memory(proc, thoroughly)?;
            reading.private_bytes =
                self.pages.resident.saturating_sub(self.pages.shared) * proc.page_bytes;
            reading.shared_memory_bytes = self.shared_memory;
        }
        Ok(reading)
    }

    /// `status` costs as much as everything else together, so it is read when the process is new
    /// and, if its shared pages have changed, at the slower pace.
    fn read_shared_memory(&mut self, proc: &mut Proc, thoroughly: bool) -> io::Result<()> {
        let due = match self.shared_memory_read_at {
            Some(shared) => thoroughly && shared != self.pages.shared,
            None => true,
        };
        if due {
            let status = proc.open(self.pid, "status")?;
            let kib = keyed(read(&status, &mut proc.buffer)?, "RssShmem:").unwrap_or(0);
            self.shared_memory = kib.saturating_mul(1024);
            self.shared_memory_read_at = Some(self.pages.shared);
        }
        Ok(())
    }
}

/// Whether an error says that the process is reaped: its folder is gone, or what was open leads nowhere.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::ESRCH as i32)
}

/// The processes that a cgroup and the cgroups below it list.
pub(super) fn cgroup_members(folder: &Path) -> Vec<u32> {
    // A cgroup that has just been removed lists nobody.
    let listed = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    let mut pids: Vec<u32> = listed
        .lines()
        .filter_map(|line| line.parse().ok())
        .collect();
    // As in most file systems, a folder without folders in it has two links; to ask costs less than to list.
    if fs::metadata(folder).is_ok_and(|folder| folder.nlink() == 2) {
        return pids;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            pids.extend(cgroup_members(&entry.path()));
        }
    }
    pids
}
