//! What `/proc` tells about processes and their kin.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
};

use nix::time::{ClockId, clock_gettime};

/// Clock ticks per second, as `/proc` counts them on all architectures that Rust knows.
const TICKS: u64 = 100;
/// How often a list that changes is read before all processes are looked at instead.
const READINGS: usize = 8;
/// Most files in `/proc` fit into one reading of this size.
const ROOM: usize = 4096;

/// The part of `/proc/PID/stat` that tells kinship.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) zombie: bool,
    pub(crate) parent: u32,
    pub(crate) group: u32,
    pub(crate) session: u32,
    /// In clock ticks since boot; with the pid, it means one process.
    pub(crate) start: u64,
}

/// `None` if there is no such process.
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    parse(&read(&format!("/proc/{pid}/stat")).ok()?)
}

/// How a process ended that its parent has not reaped yet; `None` if there is no such process, or
/// it is not ours to be told.
pub(crate) fn zombie_status(pid: u32, start: u64) -> Option<i32> {
    let text = read(&format!("/proc/{pid}/stat")).ok()?;
    parse(&text).filter(|stat| stat.zombie && stat.start == start)?;
    // The kernel shows a zero to those who may not know.
    let own = nix::unistd::geteuid();
    let owner = fs::metadata(format!("/proc/{pid}")).ok()?.uid();
    (own.is_root() || owner == own.as_raw())
        .then(|| text.split_ascii_whitespace().next_back()?.parse().ok())
        .flatten()
}

/// All processes that exist.
pub(crate) fn processes() -> io::Result<Vec<u32>> {
    let entries = fs::read_dir("/proc")?;
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(pids.collect())
}

/// The time of now as start times are told. Asking for that of a process which is just in `exec`
/// would wait for the end of it.
pub(crate) fn now() -> u64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |time| {
        let (seconds, nanos) = (time.tv_sec().unsigned_abs(), time.tv_nsec().unsigned_abs());
        seconds * TICKS + nanos * TICKS / 1_000_000_000
    })
}

/// Not `read_to_string`, which begins with 32 bytes where a file does not tell its size.
fn read(path: &str) -> io::Result<String> {
    let mut text = Vec::with_capacity(ROOM);
    File::open(path)?.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn parse(text: &str) -> Option<Stat> {
    // The name, in parentheses, may hold anything.
    let mut fields = text[text.rfind(')')? + 1..].split_ascii_whitespace();
    let zombie = matches!(fields.next()?, "Z" | "X");
    let mut number = || fields.next()?.parse().ok();
    let (parent, group, session) = (number()?, number()?, number()?);
    let start = fields.nth(15)?.parse().ok()?;
    Some(Stat {
        zombie,
        parent,
        group,
        session,
        start,
    })
}

/// Children of a process, zombies among them.
///
/// The kernel may skip a child when the one that it has just told is reaped. That one is then missing
/// in the next reading, so a list that is read twice is complete.
pub(crate) fn children(pid: u32) -> io::Result<Vec<u32>> {
    let mut before = None;
    for _ in 0..READINGS {
        let Some(now) = listed_children(pid)? else {
            break;
        };
        if before.as_ref() == Some(&now) {
            return Ok(now);
        }
        before = Some(now);
    }
    walk_children(pid)
}

/// As the kernel lists them; `None` where it does not, or a thread has just ended.
fn listed_children(pid: u32) -> io::Result<Option<Vec<u32>>> {
    let mut all = Vec::new();
    let folder = format!("/proc/{pid}/task");
    let tasks = match fs::read_dir(&folder) {
        Ok(tasks) => tasks,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(all)),
        Err(error) => return Err(error),
    };
    for task in tasks {
        match read(&format!(
            "{folder}/{}/children",
            task?.file_name().display()
        )) {
            Ok(text) => all.extend(text.split(' ').filter_map(|pid| pid.parse::<u32>().ok())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(all))
}

fn walk_children(parent: u32) -> io::Result<Vec<u32>> {
    let mut all = processes()?;
    all.retain(|pid| stat(*pid).is_some_and(|stat| stat.parent == parent));
    Ok(all)
}

/// The value of a variable in the environment that a process was started with.
pub(crate) fn environment_value(pid: u32, key: &str) -> Option<String> {
    let environ = fs::read(format!("/proc/{pid}/environ")).ok()?;
    environ.split(|byte| *byte == 0).find_map(|line| {
        let value = line.strip_prefix(key.as_bytes())?.strip_prefix(b"=")?;
        String::from_utf8(value.to_vec()).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::{children, parse, stat, walk_children};

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_confuse() {
        let text = "42 (a) S 1 (b) Z 7 8 9 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 12345 0 0";
        let stat = parse(text).unwrap();
        assert!(stat.zombie);
        assert_eq!((stat.parent, stat.group, stat.session), (7, 8, 9));
        assert_eq!(stat.start, 12345);
    }

    #[test]
    fn a_child_is_found_with_and_without_the_children_files() {
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let own = std::process::id();
        assert!(children(own).unwrap().contains(&child.id()));
        assert!(walk_children(own).unwrap().contains(&child.id()));
        assert_eq!(stat(child.id()).unwrap().parent, own);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(stat(child.id()), None);
    }
}
