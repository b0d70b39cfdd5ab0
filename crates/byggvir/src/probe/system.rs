//! Counters of the whole machine from `/proc/stat` and `/proc/meminfo`.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    time::{Duration, Instant},
};

use nix::sys::resource::{Resource, getrlimit};

use super::{
    SystemSample,
    stat::{keyed, number, words},
};

/// Reads a one-piece text of the kernel anew, into a buffer that is used again.
///
/// `/proc` answers a read at position 0 with fresh numbers, so descriptors can stay open.
pub(super) fn read<'a>(file: &File, buffer: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
    loop {
        let length = file.read_at(buffer, 0)?;
        if length < buffer.len() {
            return Ok(&buffer[..length]);
        }
        buffer.resize((buffer.len() * 2).max(4096), 0);
    }
}

/// Whether so much time has passed since `last`, which is now then.
pub(super) fn is_due(last: &mut Option<Instant>, pace: Duration) -> bool {
    let due = last.is_none_or(|last| last.elapsed() >= pace);
    if due {
        *last = Some(Instant::now());
    }
    due
}

/// The files that tell about the machine, opened when they are first wanted.
#[derive(Debug, Default)]
pub(super) struct Machine {
    files: Option<MachineFiles>,
}

#[derive(Debug)]
struct MachineFiles {
    stat: File,
    meminfo: File,
    ticks_per_second: u64,
}

impl Machine {
    pub(super) fn sample(&mut self, buffer: &mut Vec<u8>) -> io::Result<SystemSample> {
        let invalid = || io::Error::from(io::ErrorKind::InvalidData);
        let files = match &mut self.files {
            Some(files) => files,
            none => none.insert(MachineFiles::open()?),
        };
        let meminfo = read(&files.meminfo, buffer)?;
        let bytes = |key| keyed(meminfo, key).map(|kib| kib.saturating_mul(1024));
        let total_memory = bytes("MemTotal:").ok_or_else(invalid)?;
        let available_memory = bytes("MemAvailable:")
            .or_else(|| bytes("MemFree:"))
            .unwrap_or(0);
        let (ticks, num_cores) = busy_ticks(read(&files.stat, buffer)?).ok_or_else(invalid)?;
        Ok(SystemSample {
            total_memory,
            available_memory,
            cpu_time: ticks_to_time(ticks, files.ticks_per_second),
            num_cores,
            at: Instant::now(),
        })
    }
}

impl MachineFiles {
    fn open() -> io::Result<Self> {
        Ok(Self {
            stat: File::open("/proc/stat")?,
            meminfo: File::open("/proc/meminfo")?,
            ticks_per_second: ticks_per_second(),
        })
    }
}

/// Ticks spent working by all CPUs, and how many there are.
fn busy_ticks(stat: &[u8]) -> Option<(u64, usize)> {
    let mut lines = stat
        .split(|&byte| byte == b'\n')
        .take_while(|line| line.starts_with(b"cpu"));
    let mut fields = words(lines.next()?)
        .skip(1)
        .map(|word| number(word).unwrap_or(0));
    let mut next = || fields.next().unwrap_or(0);
    let (user, nice, system) = (next(), next(), next());
    let (_idle, _io_wait) = (next(), next());
    let (irq, soft_irq) = (next(), next());
    // Guest time is part of user time; stolen time was somebody else's.
    Some((user + nice + system + irq + soft_irq, lines.count()))
}

/// Most descriptors that a backend keeps open: a quarter of what the process may, so that plenty is
/// left for its real work.
pub(super) fn most_descriptors() -> usize {
    let soft_limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    usize::try_from(soft_limit / 4).unwrap_or(usize::MAX)
}

pub(super) fn ticks_per_second() -> u64 {
    nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)
        .ok()
        .flatten()
        .and_then(|ticks| u64::try_from(ticks).ok())
        .filter(|&ticks| ticks > 0)
        .unwrap_or(100)
}

pub(super) fn ticks_to_time(ticks: u64, per_second: u64) -> Duration {
    Duration::from_secs(ticks / per_second)
        + Duration::from_nanos(ticks % per_second * 1_000_000_000 / per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_neither_idle_nor_waiting_nor_stolen() {
        let stat = b"cpu  1 2 4 1000 1000 8 16 1000 1000 0\ncpu0 0\ncpu1 0\nintr 5\ncpu9 0\n";
        assert_eq!(busy_ticks(stat), Some((31, 2)));
        assert_eq!(busy_ticks(b""), None);
    }

    #[test]
    fn long_file_is_read_to_its_end() {
        let folder = tempfile::tempdir().expect("is made");
        let path = folder.path().join("long");
        for length in [0, 1, 4095, 4096, 4097, 50_000] {
            let text: Vec<u8> = (0..length).map(|at| at as u8).collect();
            std::fs::write(&path, &text).expect("is written");
            let file = File::open(&path).expect("is opened");
            let mut buffer = Vec::new();
            assert_eq!(
                read(&file, &mut buffer).expect("is read"),
                text,
                "{length} bytes"
            );
            assert_eq!(
                read(&file, &mut buffer).expect("is read again"),
                text,
                "{length} bytes"
            );
        }
    }

    #[test]
    fn ticks_become_time_without_overflow() {
        assert_eq!(ticks_to_time(150, 100), Duration::from_millis(1500));
        assert_eq!(ticks_to_time(u64::MAX, 100).as_secs(), u64::MAX / 100);
    }
}
