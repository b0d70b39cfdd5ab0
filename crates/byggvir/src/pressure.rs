//! Pressure stall information: how much time is lost waiting for CPU, memory or I/O.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

pub(crate) use self::alarm::{Look, PressureEdge, PressureWatch};
pub use self::alarm::{PressureLimits, PressureReading};

mod alarm;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PressureKind {
    /// A CPU to run on.
    Cpu,
    /// Memory to be reclaimed or read back.
    Memory,
    /// Input or output.
    Io,
}

impl PressureKind {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Memory, Self::Io];

    /// The name in file names, for example `memory`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Io => "io",
        }
    }
}

/// Time lost, as the kernel's PSI counts it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pressure {
    /// While at least one task waited.
    pub some: Stall,
    /// While all non-idle tasks waited at once.
    pub full: Stall,
}

/// Shares of time, in percent, and its sum.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Stall {
    /// Over the last 10 s.
    pub avg10: f32,
    /// Over the last 60 s.
    pub avg60: f32,
    /// Over the last 300 s.
    pub avg300: f32,
    /// All of it since the start of the machine or the making of the cgroup.
    pub total: Duration,
}

/// Reads the pressure of a cgroup, or of the whole machine without one.
///
/// # Errors
///
/// `NotFound` where the kernel has no PSI, `Unsupported` where it is turned off, `InvalidData` for a
/// text that is no pressure.
pub fn read_pressure(kind: PressureKind, cgroup: Option<&Path>) -> io::Result<Pressure> {
    PressureFiles::default().read(kind, cgroup)
}

/// Where pressure comes from.
pub trait PressureSource: Send + Sync + 'static {
    /// The pressure on a cgroup, or on the whole machine without one. Reads a small file of the kernel's.
    ///
    /// # Errors
    ///
    /// As [`read_pressure`]. Whoever watches takes an error for no pressure.
    fn read(&self, kind: PressureKind, cgroup: Option<&Path>) -> io::Result<Pressure>;
}

/// Pressure as Linux shows it: of the machine in `/proc/pressure`, of a cgroup in its own folder.
#[derive(Debug, Clone)]
pub struct PressureFiles {
    machine: PathBuf,
}

impl PressureFiles {
    /// Reads the machine's below `machine` instead of `/proc/pressure`.
    pub fn at(machine: impl Into<PathBuf>) -> Self {
        Self {
            machine: machine.into(),
        }
    }
}

impl Default for PressureFiles {
    fn default() -> Self {
        Self::at("/proc/pressure")
    }
}

impl PressureSource for PressureFiles {
    fn read(&self, kind: PressureKind, cgroup: Option<&Path>) -> io::Result<Pressure> {
        let kind = kind.as_str();
        let path = match cgroup {
            Some(folder) => folder.join(format!("{kind}.pressure")),
            None => self.machine.join(kind),
        };
        parse(&fs::read_to_string(path)?).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

fn parse(text: &str) -> Option<Pressure> {
    let mut pressure = Pressure::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let stall = match words.next()? {
            "some" => &mut pressure.some,
            "full" => &mut pressure.full,
            _ => continue,
        };
        for word in words {
            match word.split_once('=')? {
                ("avg10", share) => stall.avg10 = share.parse().ok()?,
                ("avg60", share) => stall.avg60 = share.parse().ok()?,
                ("avg300", share) => stall.avg300 = share.parse().ok()?,
                ("total", micros) => stall.total = Duration::from_micros(micros.parse().ok()?),
                _ => {}
            }
        }
    }
    Some(pressure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lines_are_parsed() {
        let text = "some avg10=1.50 avg60=0.25 avg300=0.00 total=2000000\n\
                    full avg10=0.10 avg60=0.00 avg300=0.00 total=7\n";
        let pressure = parse(text).expect("is valid");
        assert_eq!(pressure.some.avg10, 1.5);
        assert_eq!(pressure.some.avg60, 0.25);
        assert_eq!(pressure.some.total, Duration::from_secs(2));
        assert_eq!(pressure.full.total, Duration::from_micros(7));
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(parse("some avg10=x"), None);
        assert_eq!(parse("some avg10"), None);
    }

    #[test]
    fn missing_cgroup_is_not_found() {
        let error = read_pressure(PressureKind::Cpu, Some(Path::new("/nonexistent")));
        assert_eq!(
            error.expect_err("is missing").kind(),
            io::ErrorKind::NotFound
        );
    }
}
