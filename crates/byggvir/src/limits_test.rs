//! Tests of the limits policy, exhaustive and by properties.

use std::time::SystemTime;

use proptest::prelude::*;

use super::*;

const MEMORY: u64 = 100 << 20;

fn limits() -> ResourceLimits {
    ResourceLimits {
        max_memory_bytes: MEMORY,
        max_cpu_percent: 50.0,
        ..ResourceLimits::default()
    }
}

fn usage(memory_percent: u64, cpu_percent: f32) -> ResourceUsage {
    ResourceUsage {
        memory_bytes: MEMORY / 100 * memory_percent,
        cpu_percent,
        measured_at: SystemTime::UNIX_EPOCH,
    }
}

fn up(kind: ViolationType) -> Edge {
    Edge {
        kind,
        direction: Direction::Up,
    }
}

fn down(kind: ViolationType) -> Edge {
    Edge {
        kind,
        direction: Direction::Down,
    }
}

/// The edges that a run of memory levels (in percent of the limit) causes, one list a sample.
fn edges_of(levels: &[u64]) -> Vec<Vec<Edge>> {
    let mut watch = Watch::default();
    let step = |&level: &u64| watch.step(&usage(level, 0.0), &limits(), Enforced::default());
    levels.iter().map(step).collect()
}

#[test]
fn exceeded_beats_warning_and_memory_beats_cpu() {
    use ViolationType::{CpuExceeded, CpuWarning, MemoryExceeded, MemoryWarning};
    // Rows: memory fine, warned, exceeded. Columns: CPU likewise.
    let expected = [
        [None, Some(CpuWarning), Some(CpuExceeded)],
        [Some(MemoryWarning), Some(MemoryWarning), Some(CpuExceeded)],
        [
            Some(MemoryExceeded),
            Some(MemoryExceeded),
            Some(MemoryExceeded),
        ],
    ];
    for (row, memory) in [80, 90, 110].into_iter().enumerate() {
        for (column, cpu) in [40.0, 45.0, 55.0].into_iter().enumerate() {
            let verdict = judge(&usage(memory, cpu), &limits());
            assert_eq!(
                verdict, expected[row][column],
                "memory {memory} %, CPU {cpu} %"
            );
        }
    }
}

#[test]
fn usage_at_the_limit_does_not_exceed_it() {
    let limits = ResourceLimits {
        memory_warning_percent: 100.0,
        ..limits()
    };
    assert_eq!(judge(&usage(100, 0.0), &limits), None);
}

#[test]
fn zero_is_unlimited() {
    assert_eq!(
        judge(&usage(10_000, 100.0), &ResourceLimits::default()),
        None
    );
    assert_eq!(validate(&ResourceLimits::default()), Ok(()));
}

#[test]
fn limits_without_sense_are_refused_by_name() {
    let page = page_size();
    let with_cpu = |percent| ResourceLimits {
        max_cpu_percent: percent,
        ..limits()
    };
    let with_warning = |percent| ResourceLimits {
        memory_warning_percent: percent,
        ..limits()
    };
    let with_cpu_warning = |percent| ResourceLimits {
        cpu_warning_percent: percent,
        ..limits()
    };
    let with_memory = |bytes| ResourceLimits {
        max_memory_bytes: bytes,
        ..limits()
    };
    for nonsense in [f32::NAN, -0.1, f32::INFINITY, f32::NEG_INFINITY, 100.1] {
        for (name, limits) in [
            ("max_cpu_percent", with_cpu(nonsense)),
            ("memory_warning_percent", with_warning(nonsense)),
            ("cpu_warning_percent", with_cpu_warning(nonsense)),
        ] {
            let error = validate(&limits).expect_err("makes no sense");
            assert!(
                error.to_string().starts_with("Invalid resource limits: "),
                "{error}"
            );
            assert!(error.to_string().contains(name), "{error}");
        }
    }
    for bytes in [1, page - 1] {
        let error = validate(&with_memory(bytes)).expect_err("is below a page");
        assert!(error.to_string().contains("max_memory_bytes"), "{error}");
    }
    for bytes in [0, page, u64::MAX] {
        assert_eq!(validate(&with_memory(bytes)), Ok(()), "{bytes}");
    }
    for percent in [0.0, 100.0] {
        assert_eq!(validate(&with_cpu(percent)), Ok(()), "{percent}");
        assert_eq!(validate(&with_warning(percent)), Ok(()), "{percent}");
    }
}

#[test]
fn single_spike_warns_but_never_exceeds() {
    use ViolationType::MemoryWarning;
    let edges = edges_of(&[10, 500, 10, 500, 10, 10, 10]);
    assert_eq!(edges[1], [up(MemoryWarning)]);
    assert_eq!(edges[6], [down(MemoryWarning)]);
    assert_eq!(edges.concat().len(), 2);
}

#[test]
fn staying_above_is_told_once() {
    use ViolationType::{MemoryExceeded, MemoryWarning};
    let edges = edges_of(&[110, 110, 110, 110, 99, 110, 110, 10, 10, 10, 10]);
    assert_eq!(edges[0], [up(MemoryWarning)]);
    assert_eq!(edges[1], [up(MemoryExceeded)]);
    assert_eq!(edges[9], [down(MemoryExceeded), down(MemoryWarning)]);
    assert_eq!(edges.concat().len(), 4);
}

#[test]
fn limit_held_by_the_kernel_only_warns() {
    let mut watch = Watch::default();
    let enforced = Enforced {
        memory: true,
        cpu: true,
        pids: true,
    };
    let mut step = || watch.step(&usage(101, 51.0), &limits(), enforced);
    let warnings = [
        up(ViolationType::MemoryWarning),
        up(ViolationType::CpuWarning),
    ];
    assert_eq!(step(), warnings);
    assert_eq!(step(), []);
    assert_eq!(step(), []);
}

#[test]
fn lifted_limit_takes_its_alarms_down() {
    let mut watch = Watch::default();
    let none = Enforced::default();
    for _ in 0..2 {
        watch.step(&usage(110, 0.0), &limits(), none);
    }
    let unlimited = ResourceLimits::default();
    let mut step = || watch.step(&usage(110, 0.0), &unlimited, none).len();
    assert_eq!([step(), step(), step(), step()], [0, 0, 2, 0]);
}

#[test]
fn ended_run_takes_its_alarms_down() {
    let mut watch = Watch::default();
    watch.step(&usage(90, 0.0), &limits(), Enforced::default());
    assert_eq!(watch.clear(), [down(ViolationType::MemoryWarning)]);
    assert_eq!(watch.clear(), []);
}

/// Every history of six samples out of five levels, against the rules said in other words.
#[test]
fn every_short_history_keeps_the_rules() {
    const LEVELS: [u64; 5] = [10, 78, 90, 98, 120];
    for code in 0..LEVELS.len().pow(6) {
        let history: Vec<u64> = (0..6)
            .map(|digit| LEVELS[code / LEVELS.len().pow(digit) % LEVELS.len()])
            .collect();
        keeps_the_rules(&history);
    }
}

proptest! {
    #[test]
    fn long_histories_keep_the_rules(history in prop::collection::vec(0u64..200, 0..200)) {
        keeps_the_rules(&history);
    }
}

fn keeps_the_rules(history: &[u64]) {
    let edges = edges_of(history);
    for (kind, threshold, needed) in [
        (ViolationType::MemoryExceeded, 100, 2),
        (ViolationType::MemoryWarning, 80, 1),
    ] {
        let release = threshold as f64 * RELEASE;
        let mut raised = false;
        for at in 0..history.len() {
            let last = |count: usize| &history[(at + 1).saturating_sub(count)..=at];
            let told = edges[at].iter().find(|edge| edge.kind == kind);
            match told.map(|edge| edge.direction) {
                Some(Direction::Up) => {
                    assert!(!raised, "two in a row: {history:?}");
                    assert_eq!(last(needed).len(), needed, "too early: {history:?}");
                    assert!(
                        last(needed).iter().all(|&level| level > threshold),
                        "{history:?}"
                    );
                    raised = true;
                }
                Some(Direction::Down) => {
                    assert!(raised, "down without up: {history:?}");
                    assert!(
                        last(3).iter().all(|&level| level as f64 <= release),
                        "{history:?}"
                    );
                    raised = false;
                }
                None => {
                    let due = last(needed).len() == needed
                        && last(needed).iter().all(|&level| level > threshold);
                    assert!(raised || !due, "missed: {history:?}");
                }
            }
        }
    }
}
