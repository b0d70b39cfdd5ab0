//! Pressure as pure policy: when it is too much, and when that is over.
//!
//! The kernel has smoothed what it tells over 10 s, so one reading above the limit is no spike.

use std::{fmt, path::Path};

use super::{PressureKind, PressureSource};
use crate::limits::{Alarm, Direction};

/// Pressure above which a warning is told: percent of the last 10 s in which at least one task had to
/// wait, each 0 to 100. Default: 0, which is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PressureLimits {
    /// For a CPU.
    pub cpu: u8,
    /// For memory.
    pub memory: u8,
    /// For input or output.
    pub io: u8,
}

impl PressureLimits {
    fn of(self, kind: PressureKind) -> u8 {
        match kind {
            PressureKind::Cpu => self.cpu,
            PressureKind::Memory => self.memory,
            PressureKind::Io => self.io,
        }
    }

    /// Reads what has a limit; what cannot be read is no pressure.
    pub(crate) fn look(self, source: &dyn PressureSource, cgroup: Option<&Path>) -> Look {
        PressureKind::ALL.map(|kind| {
            let pressure = (self.of(kind) > 0).then(|| source.read(kind, cgroup).ok());
            pressure
                .flatten()
                .map_or(0.0, |pressure| pressure.some.avg10)
        })
    }
}

/// Percent of each kind, in the order of [`PressureKind::ALL`].
pub(crate) type Look = [f32; PressureKind::ALL.len()];

/// Pressure that went above its limit, or is well below it again.
#[derive(Debug, Clone, PartialEq)]
pub struct PressureReading {
    /// Name of the service; `None` for the whole machine.
    pub service_name: Option<String>,
    /// What is waited for.
    pub kind: PressureKind,
    /// Percent of the last 10 s in which at least one task waited.
    pub percent: f32,
    /// The limit in force, in the same unit; 0 if it was lifted.
    pub limit: u8,
}

impl fmt::Display for PressureReading {
    /// For a person: `memory pressure 34.2 %, warning above 20 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, percent, limit) = (self.kind.as_str(), self.percent, self.limit);
        write!(f, "{kind} pressure {percent:.1} %, warning above {limit} %")
    }
}

/// An alarm that went up or came down.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PressureEdge {
    pub(crate) kind: PressureKind,
    pub(crate) direction: Direction,
    pub(crate) percent: f32,
    pub(crate) limit: u8,
}

/// The alarms of the machine, or of one run of a service.
#[derive(Debug, Clone, Default)]
pub(crate) struct PressureWatch {
    alarms: [Alarm; PressureKind::ALL.len()],
}

impl PressureWatch {
    /// Whether a look is worth its while.
    pub(crate) fn is_idle(&self, limits: PressureLimits) -> bool {
        limits == PressureLimits::default() && !self.alarms.iter().any(|alarm| alarm.is_raised())
    }

    /// Takes in one look.
    pub(crate) fn step(&mut self, limits: PressureLimits, look: Look) -> Vec<PressureEdge> {
        let step = |((kind, percent), alarm): ((PressureKind, f32), &mut Alarm)| {
            let limit = limits.of(kind);
            let threshold = (limit > 0).then_some(f64::from(limit));
            let direction = alarm.step(f64::from(percent), threshold, 1)?;
            Some(PressureEdge {
                kind,
                direction,
                percent,
                limit,
            })
        };
        let looks = PressureKind::ALL.into_iter().zip(look);
        looks.zip(&mut self.alarms).filter_map(step).collect()
    }

    /// Takes every raised alarm down, because what it was about has ended.
    pub(crate) fn clear(&mut self, limits: PressureLimits) -> Vec<PressureEdge> {
        let alarms = std::mem::take(&mut self.alarms);
        let raised = PressureKind::ALL.into_iter().zip(alarms);
        raised
            .filter(|(_, alarm)| alarm.is_raised())
            .map(|(kind, _)| PressureEdge {
                kind,
                direction: Direction::Down,
                percent: 0.0,
                limit: limits.of(kind),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pressure::PressureFiles;

    const MEMORY: PressureLimits = PressureLimits {
        cpu: 0,
        memory: 20,
        io: 0,
    };

    /// Memory's edges over a run of looks.
    fn edges(watch: &mut PressureWatch, limits: PressureLimits, looks: &[f32]) -> Vec<Direction> {
        let step = |&percent: &f32| watch.step(limits, [0.0, percent, 0.0]);
        let edges = looks.iter().flat_map(step);
        edges.map(|edge| edge.direction).collect()
    }

    #[test]
    fn pressure_is_told_once_up_and_once_down() {
        let mut watch = PressureWatch::default();
        let told = edges(
            &mut watch,
            MEMORY,
            &[20.0, 20.1, 80.0, 19.5, 21.0, 10.0, 10.0],
        );
        assert_eq!(told, [Direction::Up]);
        assert_eq!(edges(&mut watch, MEMORY, &[10.0]), [Direction::Down]);
        assert!(!watch.is_idle(MEMORY) && watch.is_idle(PressureLimits::default()));
    }

    #[test]
    fn only_what_has_a_limit_is_read_and_what_the_host_does_not_tell_is_no_pressure() {
        let machine = tempfile::tempdir().expect("is made");
        let source = PressureFiles::at(machine.path());
        assert_eq!(MEMORY.look(&source, None), [0.0; 3], "there is no file");
        for kind in ["cpu", "memory", "io"] {
            let text = "some avg10=33.50 avg60=0.25 avg300=0.00 total=2\n";
            std::fs::write(machine.path().join(kind), text).expect("is written");
        }
        assert_eq!(MEMORY.look(&source, None), [0.0, 33.5, 0.0]);
        let mut watch = PressureWatch::default();
        assert_eq!(watch.step(PressureLimits::default(), [90.0; 3]), []);
    }

    #[test]
    fn a_lifted_limit_and_an_ended_run_take_the_alarm_down() {
        let mut watch = PressureWatch::default();
        edges(&mut watch, MEMORY, &[50.0]);
        let lifted = edges(&mut watch, PressureLimits::default(), &[50.0, 50.0, 50.0]);
        assert_eq!(lifted, [Direction::Down]);
        edges(&mut watch, MEMORY, &[50.0]);
        let cleared = watch.clear(MEMORY);
        let memory = |edge: &PressureEdge| (edge.kind, edge.direction, edge.limit);
        let told: Vec<_> = cleared.iter().map(memory).collect();
        assert_eq!(told, [(PressureKind::Memory, Direction::Down, 20)]);
        assert_eq!(watch.clear(MEMORY), []);
    }

    #[test]
    fn a_person_reads_what_is_too_much() {
        let reading = PressureReading {
            service_name: None,
            kind: PressureKind::Io,
            percent: 34.25,
            limit: 20,
        };
        assert_eq!(
            reading.to_string(),
            "io pressure 34.2 %, warning above 20 %"
        );
    }
}
