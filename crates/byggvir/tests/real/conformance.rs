//! Every backend that this host allows, against the kernel's own counters and the same real
//! processes.
//!
//! Tolerances: memory 2 % of the kernel's own sum (`smaps_rollup`), for a program of known size; CPU
//! 2 % and three clock ticks of the kernel's per-process clock, read right before and right after.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use byggvir::{
    CgroupProbe, HostProbe, ProcfsProbe, SysinfoProbe, SystemProbe, TrackedTree, TreeSample,
    pressure::{PressureKind, read_pressure},
};

use crate::burden::{Burden, MIB};

/// Until Linux 6.2 each thread counted its resident pages only every 64 faults, and a fault of a file
/// maps up to 16 pages.
const ARREARS: u64 = 64 * 16 * 4096;
/// No test waits longer for a fact.
const PATIENCE: Duration = Duration::from_secs(30);

/// A backend, and how a process is prepared for it.
struct Backend {
    name: &'static str,
    probe: Box<dyn SystemProbe>,
    cgroup: Option<PathBuf>,
}

impl Backend {
    fn sample(&mut self, burden: &Burden) -> io::Result<TreeSample> {
        let tracked = TrackedTree {
            run: 1,
            tree: Arc::new(burden.tree()),
        };
        self.probe
            .sample(&[tracked])
            .pop()
            .expect("one answer for one tree")
    }

    /// Samples until the answer is as wanted.
    fn sample_until(
        &mut self,
        burden: &Burden,
        wanted: impl Fn(&TreeSample) -> bool,
    ) -> TreeSample {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let sample = self.sample(burden).expect("is measured");
            if wanted(&sample) {
                return sample;
            }
            assert!(Instant::now() < deadline, "{}: {sample:?}", self.name);
            std::thread::yield_now();
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if let Some(folder) = &self.cgroup {
            // A test may have removed it, or have failed and left somebody in it.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// All backends of this host; says which are left out, and why.
fn backends(test: &str) -> Vec<Backend> {
    let plain = |name, probe| Backend {
        name,
        probe,
        cgroup: None,
    };
    let mut backends = vec![
        plain(
            "procfs",
            Box::new(ProcfsProbe::new()) as Box<dyn SystemProbe>,
        ),
        plain("sysinfo", Box::new(SysinfoProbe::new())),
        plain("host", Box::new(HostProbe::new())),
    ];
    match new_cgroup(test, "procfs") {
        Ok(folder) => backends.push(Backend {
            name: "procfs in a cgroup",
            probe: Box::new(ProcfsProbe::new()),
            cgroup: Some(folder),
        }),
        Err(reason) => println!("skipped: procfs in a cgroup: {reason}"),
    }
    match new_cgroup(test, "cgroup") {
        Ok(folder) if folder.join("memory.current").exists() => backends.push(Backend {
            name: "cgroup",
            probe: Box::new(CgroupProbe::new()),
            cgroup: Some(folder),
        }),
        Ok(folder) => {
            fs::remove_dir(folder).expect("is removed");
            println!("skipped: cgroup: no memory controller");
        }
        Err(reason) => println!("skipped: cgroup: {reason}"),
    }
    backends
}

fn new_cgroup(test: &str, backend: &str) -> io::Result<PathBuf> {
    let mount = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .into_iter()
        .find(|mount| Path::new(mount).join("cgroup.controllers").exists())
        .ok_or_else(|| io::Error::other("no cgroup2 mount"))?;
    let folder = format!("byggvir-test-{}-{test}-{backend}", std::process::id());
    let folder = Path::new(mount).join(folder);
    fs::create_dir(&folder)?;
    Ok(folder)
}

/// Runs `test` for each backend with a process of that role.
fn with_each_backend(name: &str, role: &str, mut test: impl FnMut(&mut Backend, &mut Burden)) {
    for mut backend in backends(name) {
        let mut burden = Burden::start(role, backend.cgroup.clone());
        test(&mut backend, &mut burden);
    }
}

#[test]
fn memory_of_known_size_is_measured() {
    with_each_backend("memory", "memory", |backend, burden| {
        let sample = backend.sample(burden).expect("is measured");
        let (resident, anonymous) = burden.pages();
        assert!(
            (64 * MIB..70 * MIB).contains(&anonymous),
            "the burden is not what it should be"
        );
        // One backend knows no better than resident memory: the program's own code counts too.
        let (expected, arrears) = if sample.backend == "sysinfo" {
            (resident, ARREARS)
        } else {
            (anonymous, 0)
        };
        let error = sample
            .memory_bytes
            .abs_diff(expected)
            .saturating_sub(arrears);
        assert!(
            (error as f64) < 0.02 * expected as f64,
            "{}: {sample:?}, expected {expected}",
            backend.name
        );
    });
}

#[test]
fn cpu_time_agrees_with_the_kernels_clock() {
    with_each_backend("cpu", "busy", |backend, burden| {
        // What the kernel's clock said right before and right after each sample.
        let mut sample = || {
            let before = burden.clock();
            let sample = backend.sample(burden).expect("is measured");
            (before, sample.cpu_time, burden.clock())
        };
        let deadline = Instant::now() + PATIENCE;
        let first = sample();
        let last = loop {
            let last = sample();
            if last.1 - first.1 > Duration::from_millis(300) {
                break last;
            }
            assert!(Instant::now() < deadline, "the burden does not work");
            std::thread::yield_now();
        };
        let spent = (last.1 - first.1).as_secs_f64();
        let least = last.0.saturating_sub(first.2).as_secs_f64() * 0.98 - 0.03;
        let most = (last.2 - first.0).as_secs_f64() * 1.02 + 0.03;
        assert!(
            (least..=most).contains(&spent),
            "{}: {spent} s, the kernel says {least} to {most}",
            backend.name
        );
    });
}

#[test]
fn children_count_with_their_parent() {
    with_each_backend("children", "family", |backend, burden| {
        backend.sample_until(burden, |sample| sample.memory_bytes > 64 * MIB);
    });
}

#[test]
fn time_of_a_reaped_child_stays_and_counts_once() {
    with_each_backend("reaped", "worker", |backend, burden| {
        if backend.name == "sysinfo" {
            return; // Its documentation says that such time can be missed.
        }
        let a_while = Duration::from_millis(200);
        let before = backend.sample_until(burden, |sample| sample.cpu_time > a_while);
        burden.go_on();
        burden.wait_for("burden reaped");
        let after = backend.sample(burden).expect("is measured");
        assert!(
            after.cpu_time >= before.cpu_time,
            "{}: {after:?}",
            backend.name
        );
        let elapsed = after.at - before.at + Duration::from_millis(50);
        let gained = after.cpu_time - before.cpu_time;
        // Counted twice, that while would come at once. Child and parent can work side by side.
        assert!(
            gained < elapsed * 2,
            "{}: {gained:?} in {elapsed:?}",
            backend.name
        );
    });
}

#[test]
fn ended_tree_has_no_numbers() {
    with_each_backend("ended", "memory", |backend, burden| {
        backend.sample(burden).expect("is measured");
        burden.end();
        if backend.name == "cgroup" {
            fs::remove_dir(backend.cgroup.as_ref().expect("has one")).expect("is empty");
        }
        let error = backend.sample(burden).expect_err("has ended");
        assert_eq!(
            error.kind(),
            io::ErrorKind::NotFound,
            "{}: {error}",
            backend.name
        );
        backend.probe.forget(1);
    });
}

#[test]
fn unreaped_tree_has_no_numbers() {
    with_each_backend("zombie", "memory", |backend, burden| {
        if backend.name == "cgroup" {
            return; // An empty cgroup is still measured; nobody asks once the run has ended.
        }
        backend.sample(burden).expect("is measured");
        drop(burden.input.take());
        // It closes its output when it dies, and nobody has reaped it yet.
        burden.output.read_to_end(&mut Vec::new()).expect("is read");
        let deadline = Instant::now() + PATIENCE;
        while let Ok(sample) = backend.sample(burden) {
            assert!(Instant::now() < deadline, "{}: {sample:?}", backend.name);
        }
    });
}

#[test]
fn machine_is_measured() {
    let probes: [Box<dyn SystemProbe>; 4] = [
        Box::new(ProcfsProbe::new()),
        Box::new(SysinfoProbe::new()),
        Box::new(CgroupProbe::new()),
        Box::new(HostProbe::new()),
    ];
    for mut probe in probes {
        let sample = probe.system().expect("is measured");
        assert!(
            sample.available_memory <= sample.total_memory,
            "{probe:?}: {sample:?}"
        );
        assert!(
            sample.total_memory > 64 * MIB && sample.num_cores > 0,
            "{probe:?}: {sample:?}"
        );
        let later = probe.system().expect("is measured again");
        assert!(later.cpu_time >= sample.cpu_time, "{probe:?}: {later:?}");
    }
}

#[test]
fn pressure_of_the_machine_is_read() {
    for kind in [PressureKind::Cpu, PressureKind::Memory, PressureKind::Io] {
        match read_pressure(kind, None) {
            Ok(pressure) => assert!((0.0..=100.0).contains(&pressure.some.avg10), "{pressure:?}"),
            Err(error) => println!("skipped: {}: {error}", kind.as_str()),
        }
    }
}
