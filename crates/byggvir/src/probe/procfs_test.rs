//! The `/proc` backend over a folder that looks like `/proc`, for what real processes do too rarely.

use super::*;

const PAGE: u64 = 4096;

/// A folder of processes. Descriptors are never kept, so a removed process is gone.
struct World {
    root: tempfile::TempDir,
    probe: ProcfsProbe,
}

#[derive(Clone, Copy)]
struct Fake {
    parent: u32,
    session: u32,
    own_ticks: u64,
    reaped_ticks: u64,
    started: u64,
    private: u64,
    shared: u64,
    shmem: u64,
}

const PLAIN: Fake = Fake {
    parent: 1,
    session: 1,
    own_ticks: 0,
    reaped_ticks: 0,
    started: 5,
    private: 10,
    shared: 0,
    shmem: 0,
};

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("is made");
        let mut proc = Proc::new(root.path().to_owned());
        proc.page_bytes = PAGE;
        proc.max_open = 0;
        let mut probe = ProcfsProbe::over(proc);
        probe.ticks_per_second = 100;
        let world = Self { root, probe };
        world.fork_count(0);
        world
    }

    /// What tells the backend that the machine has forked.
    fn fork_count(&self, last_pid: u32) {
        let text = format!("0.00 0.00 0.00 1/100 {last_pid}\n");
        std::fs::write(self.root.path().join("loadavg"), text).expect("is written");
    }

    fn put(&self, pid: u32, fake: Fake) {
        let Fake {
            parent,
            session,
            own_ticks,
            reaped_ticks,
            started,
            private,
            shared,
            shmem,
        } = fake;
        let folder = self.root.path().join(pid.to_string());
        std::fs::create_dir_all(&folder).expect("is made");
        let resident = private + shared;
        let stat = format!(
            "{pid} (fake) S {parent} {pid} {session} 0 -1 0 0 0 0 0 \
             {own_ticks} 0 {reaped_ticks} 0 20 0 1 0 {started} 0 {resident} 0\n"
        );
        let write = |file: &str, text: String| {
            std::fs::write(folder.join(file), text).expect("is written");
        };
        write("stat", stat);
        write("statm", format!("999 {resident} {shared} 0 0 0 0\n"));
        write(
            "status",
            format!("Name:\tfake\nTgid:\t{pid}\nRssShmem:\t{shmem} kB\n"),
        );
        self.fork_count(pid);
    }

    fn remove(&self, pid: u32) {
        std::fs::remove_dir_all(self.root.path().join(pid.to_string())).expect("is removed");
    }

    fn sample(&mut self, leader: u32) -> io::Result<TreeSample> {
        let tree = Arc::new(ProcessTree {
            pid: leader,
            cgroup: None,
        });
        self.probe
            .sample(&[TrackedTree { run: 1, tree }])
            .pop()
            .expect("one answer")
    }

    fn ticks(&mut self, leader: u32) -> u128 {
        self.sample(leader)
            .expect("is measured")
            .cpu_time
            .as_millis()
            / 10
    }

    fn pages(&mut self, leader: u32) -> u64 {
        self.sample(leader).expect("is measured").memory_bytes / PAGE
    }
}

#[test]
fn session_and_children_belong_to_the_tree_and_strangers_do_not() {
    let mut world = World::new();
    world.put(
        100,
        Fake {
            session: 100,
            private: 1,
            ..PLAIN
        },
    );
    // In the session, though its parent has gone; listed before its own parent; a stranger.
    world.put(
        101,
        Fake {
            session: 100,
            private: 2,
            ..PLAIN
        },
    );
    world.put(
        50,
        Fake {
            parent: 102,
            session: 50,
            private: 4,
            ..PLAIN
        },
    );
    world.put(
        102,
        Fake {
            parent: 101,
            session: 102,
            private: 8,
            ..PLAIN
        },
    );
    world.put(
        103,
        Fake {
            private: 16,
            ..PLAIN
        },
    );
    assert_eq!(world.pages(100), 15);
}

#[test]
fn new_child_is_found_as_soon_as_the_machine_has_forked() {
    let mut world = World::new();
    world.put(
        100,
        Fake {
            session: 100,
            ..PLAIN
        },
    );
    assert_eq!(world.pages(100), 10);
    world.put(
        101,
        Fake {
            parent: 100,
            ..PLAIN
        },
    );
    assert_eq!(world.pages(100), 20);
}

#[test]
fn member_stays_one_when_its_parent_dies() {
    let mut world = World::new();
    world.put(
        100,
        Fake {
            session: 100,
            ..PLAIN
        },
    );
    world.put(
        101,
        Fake {
            parent: 100,
            session: 101,
            ..PLAIN
        },
    );
    assert_eq!(world.pages(100), 20);
    world.put(
        101,
        Fake {
            parent: 1,
            session: 101,
            ..PLAIN
        },
    );
    world.remove(100);
    assert_eq!(world.pages(100), 10);
}

#[test]
fn shared_memory_counts_once_and_file_pages_not_at_all() {
    let mut world = World::new();
    let sharing = Fake {
        shared: 50,
        shmem: 40 * PAGE / 1024,
        ..PLAIN
    };
    world.put(
        100,
        Fake {
            session: 100,
            ..sharing
        },
    );
    world.put(
        101,
        Fake {
            parent: 100,
            ..sharing
        },
    );
    world.put(
        102,
        Fake {
            parent: 100,
            ..sharing
        },
    );
    assert_eq!(world.pages(100), 3 * 10 + 40);
}

#[test]
fn time_of_a_child_counts_once_when_it_is_reaped() {
    let mut world = World::new();
    world.put(
        100,
        Fake {
            session: 100,
            own_ticks: 7,
            ..PLAIN
        },
    );
    world.put(
        101,
        Fake {
            parent: 100,
            own_ticks: 50,
            ..PLAIN
        },
    );
    assert_eq!(world.ticks(100), 57);
    // It ran for 5 more ticks before it was reaped.
    world.remove(101);
    world.put(
        100,
        Fake {
            session: 100,
            own_ticks: 7,
            reaped_ticks: 55,
            ..PLAIN
        },
    );
    assert_eq!(world.ticks(100), 62);
    // One that lived between two samples.
    world.put(
        100,
        Fake {
            session: 100,
            own_ticks: 8,
            reaped_ticks: 60,
            ..PLAIN
        },
    );
    assert_eq!(world.ticks(100), 68);
}

#[test]
fn time_never_falls_when_a_stranger_reaps() {
    let mut world = World::new();
    world.put(
        100,
        Fake {
            session: 100,
            own_ticks: 7,
            ..PLAIN
        },
    );
    world.put(
        101,
        Fake {
            parent: 100,
            own_ticks: 50,
            ..PLAIN
        },
    );
    assert_eq!(world.ticks(100), 57);
    world.remove(101);
    world.put(
        100,
        Fake {
            session: 100,
            own_ticks: 9,
            ..PLAIN
        },
    );
    assert_eq!(world.ticks(100), 59);
}

#[test]
fn old_process_found_late_brings_no_old_time() {
    let mut world = World::new();
    world.put(
        100,
        Fake {
            session: 100,
            own_ticks: 7,
            ..PLAIN
        },
    );
    world.put(
        101,
        Fake {
            own_ticks: 5000,
            ..PLAIN
        },
    );
    assert_eq!(world.ticks(100), 7);
    // It was seen as a stranger before it became one of the session; the next thorough walk finds it.
    world.put(
        101,
        Fake {
            session: 100,
            own_ticks: 5003,
            ..PLAIN
        },
    );
    world.fork_count(102);
    world.probe.last_thorough = None;
    assert_eq!(world.ticks(100), 7);
    world.put(
        101,
        Fake {
            session: 100,
            own_ticks: 5013,
            ..PLAIN
        },
    );
    assert_eq!(world.ticks(100), 17);
}

#[test]
fn number_that_passed_to_another_process_is_not_ours() {
    let mut world = World::new();
    world.put(
        100,
        Fake {
            session: 100,
            ..PLAIN
        },
    );
    assert_eq!(world.pages(100), 10);
    world.put(
        100,
        Fake {
            started: 6,
            ..PLAIN
        },
    );
    let error = world.sample(100).expect_err("has ended");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn forgotten_run_holds_nothing() {
    let mut world = World::new();
    world.put(
        100,
        Fake {
            session: 100,
            ..PLAIN
        },
    );
    assert_eq!(world.pages(100), 10);
    world.probe.forget(1);
    assert!(world.probe.groups.is_empty());
}

#[test]
fn descriptors_are_kept_within_the_budget() {
    let mut proc = Proc::new("/proc".into());
    proc.max_open = 1;
    let mut probe = ProcfsProbe::over(proc);
    let own = std::process::id();
    let tree = Arc::new(ProcessTree {
        pid: own,
        cgroup: None,
    });
    let trees = [1, 2, 3].map(|run| TrackedTree {
        run,
        tree: Arc::clone(&tree),
    });
    for sample in probe.sample(&trees) {
        assert!(sample.expect("is measured").memory_bytes > 0);
    }
    assert!(probe.proc.permit().is_none(), "the budget is used up");
    for run in [1, 2, 3] {
        probe.forget(run);
    }
    assert!(probe.proc.permit().is_some(), "the budget is free again");
}

#[test]
fn further_threads_of_a_process_are_no_members() {
    let mut world = World::new();
    let leader = Fake {
        session: 100,
        ..PLAIN
    };
    world.put(100, leader);
    assert_eq!(world.pages(100), 10);
    // What `/proc/101` says if it is a thread of the leader's, whom no listing shows.
    world.put(101, leader);
    let status = world.root.path().join("101/status");
    std::fs::write(status, "Tgid:\t100\nRssShmem:\t0 kB\n").expect("is written");
    assert_eq!(world.pages(100), 10);
}

#[test]
fn tree_with_a_cgroup_is_read_again_when_somebody_in_it_has_worked() {
    let mut world = World::new();
    let group = tempfile::tempdir().expect("is made");
    let work = |micros: u32| {
        let text = format!("usage_usec {micros}\nuser_usec 0\n");
        std::fs::write(group.path().join("cpu.stat"), text).expect("is written");
    };
    let own = |private| Fake {
        session: 100,
        private,
        ..PLAIN
    };
    work(5);
    world.put(100, own(10));
    let tree = Arc::new(ProcessTree {
        pid: 100,
        cgroup: Some(group.path().to_owned()),
    });
    let trees = [TrackedTree { run: 1, tree }];
    let pages = |world: &mut World| {
        let sample = world.probe.sample(&trees).pop().expect("one answer");
        sample.expect("is measured").memory_bytes / PAGE
    };
    assert_eq!(pages(&mut world), 10);
    world.put(100, own(11));
    assert_eq!(pages(&mut world), 10, "nobody has worked");
    work(6);
    assert_eq!(pages(&mut world), 11);
    world.put(100, own(12));
    world.probe.last_refresh = None;
    assert_eq!(pages(&mut world), 12, "from time to time it is read anyway");
    // A child counts as soon as it is found.
    let child = Fake {
        parent: 100,
        private: 5,
        ..PLAIN
    };
    world.put(101, child);
    assert_eq!(pages(&mut world), 17);
}
