//! CPU time of one sampling round, each backend, against `sysinfo` refreshing the same processes.
//!
//! And how true the numbers are, and how soon a limit is acted upon.
//!
//! `cargo xtask bench resources` prints one line per number of services and backend. The services are
//! processes that sleep; a round in which nothing else forks is the common case, one after a fork
//! walks `/proc` for newcomers.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

mod accuracy;
mod burden;
mod reaction;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use byggvir::{CgroupProbe, ProcessTree, ProcfsProbe, SysinfoProbe, SystemProbe, TrackedTree};
use nix::{
    sys::signal::{Signal, kill},
    time::{ClockId, clock_gettime},
    unistd::Pid as ProcessId,
};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

const COUNTS: [usize; 3] = [10, 100, 1000];
const ROUNDS: u32 = 20;

fn main() -> io::Result<()> {
    if burden::play() {
        return Ok(());
    }
    // `cargo test --benches` runs this too: a small round proves that it works.
    let in_full = env::args().any(|argument| argument == "--bench");
    let counts = if in_full { &COUNTS[..] } else { &[10] };
    println!(
        "services  backend                      CPU time of a round  of one core, a round a second"
    );
    for &count in counts {
        let services = Services::start(count)?;
        let plain = services.trees(None);
        report(count, "procfs", &mut ProcfsProbe::new(), &plain);
        report_after_forks(count, &mut ProcfsProbe::new(), &plain);
        services.report_at_work("procfs", &mut ProcfsProbe::new(), &plain);
        let pids: Vec<_> = services.children.iter().map(Child::id).collect();
        match Cgroups::make(&pids) {
            Ok(cgroups) => {
                let trees = services.trees(Some(&cgroups.folders));
                report(count, "procfs, own cgroup", &mut ProcfsProbe::new(), &trees);
                services.report_at_work("own cgroup", &mut ProcfsProbe::new(), &trees);
                if CgroupProbe::covers(&trees[0].tree) {
                    report(count, "cgroup", &mut CgroupProbe::new(), &trees);
                    services.report_at_work("cgroup", &mut CgroupProbe::new(), &trees);
                }
            }
            Err(error) => println!("{count:8}  procfs, own cgroup           skipped: {error}"),
        }
        report(count, "sysinfo backend", &mut SysinfoProbe::new(), &plain);
        report_sysinfo(count, &services)?;
    }
    if in_full {
        accuracy::report()?;
        reaction::report()?;
    }
    Ok(())
}

fn report(count: usize, backend: &str, probe: &mut dyn SystemProbe, trees: &[TrackedTree]) {
    print(
        count,
        backend,
        median(|| {}, || assert_all(probe.sample(trees))),
    );
}

fn report_after_forks(count: usize, probe: &mut dyn SystemProbe, trees: &[TrackedTree]) {
    let fork = || {
        // A round after a fork walks; whether this one worked shows in the figure.
        let _ = Command::new("true").status();
    };
    print(
        count,
        "procfs, after a fork",
        median(fork, || assert_all(probe.sample(trees))),
    );
}

/// What a user of the crate would do: refresh these processes, CPU and memory.
fn report_sysinfo(count: usize, services: &Services) -> io::Result<()> {
    let mut system = System::new().map_err(io::Error::other)?;
    let pids: Vec<Pid> = services
        .children
        .iter()
        .map(|child| Pid::from_u32(child.id()))
        .collect();
    let kind = ProcessRefreshKind::nothing()
        .with_cpu()
        .with_memory()
        .without_tasks();
    let refresh = || {
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&pids), true, kind);
    };
    print(count, "sysinfo, the same pids", median(|| {}, refresh));
    Ok(())
}

fn assert_all(samples: Vec<io::Result<byggvir::TreeSample>>) {
    assert!(
        samples.iter().all(Result::is_ok),
        "a service could not be measured"
    );
}

fn print(count: usize, backend: &str, time: Duration) {
    let seconds = time.as_secs_f64();
    println!(
        "{count:8}  {backend:27}  {:16.3} ms  {:26.3} %",
        seconds * 1e3,
        seconds * 1e2
    );
}

/// The median of some rounds, after one that opens everything.
fn median(mut before: impl FnMut(), mut round: impl FnMut()) -> Duration {
    round();
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            before();
            let start = thread_time();
            round();
            thread_time() - start
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

struct Services {
    children: Vec<Child>,
}

impl Services {
    fn start(count: usize) -> io::Result<Self> {
        let mut services = Self {
            children: Vec::new(),
        };
        for _ in 0..count {
            let child = Command::new("sleep")
                .arg("1000")
                .stdin(Stdio::null())
                .spawn()?;
            services.children.push(child);
        }
        Ok(services)
    }

    /// A round in which no service can be left out: each has worked since the last one.
    fn report_at_work(&self, backend: &str, probe: &mut dyn SystemProbe, trees: &[TrackedTree]) {
        let all = |signal| {
            for child in &self.children {
                // One that has ended fails the round.
                let _ = kill(ProcessId::from_raw(child.id() as i32), signal);
            }
            thread::sleep(Duration::from_millis(20));
        };
        // It takes some work to stop and to go on.
        let work = || {
            all(Signal::SIGSTOP);
            all(Signal::SIGCONT);
        };
        let time = median(work, || assert_all(probe.sample(trees)));
        print(
            self.children.len(),
            &format!("{backend}, all have worked"),
            time,
        );
    }

    fn trees(&self, cgroups: Option<&[PathBuf]>) -> Vec<TrackedTree> {
        let tree = |(index, child): (usize, &Child)| TrackedTree {
            run: index as u64,
            tree: Arc::new(ProcessTree {
                pid: child.id(),
                cgroup: cgroups.map(|folders| folders[index].clone()),
            }),
        };
        self.children.iter().enumerate().map(tree).collect()
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        for child in &mut self.children {
            // One that is gone already needs no end.
            let _ = child.kill();
        }
        for child in &mut self.children {
            // As above.
            let _ = child.wait();
        }
    }
}

/// A cgroup for each service, removed at the end.
struct Cgroups {
    root: PathBuf,
    folders: Vec<PathBuf>,
}

impl Cgroups {
    fn make(pids: &[u32]) -> io::Result<Self> {
        let mount = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
            .into_iter()
            .find(|mount| Path::new(mount).join("cgroup.controllers").exists())
            .ok_or_else(|| io::Error::other("no cgroup2 mount"))?;
        let own_machine = env::var_os("GLADSHEIM_VM").is_some();
        // A machine of its own may be changed at the root; elsewhere there are groups without controllers.
        let hand_down = |folder: &Path| {
            let file = folder.join("cgroup.subtree_control");
            if own_machine {
                fs::write(file, "+cpu +memory")
            } else {
                Ok(())
            }
        };
        hand_down(Path::new(mount))?;
        let root = Path::new(mount).join(format!("byggvir-bench-{}", std::process::id()));
        fs::create_dir(&root)?;
        hand_down(&root)?;
        let mut cgroups = Self {
            root,
            folders: Vec::new(),
        };
        for pid in pids.iter().map(u32::to_string) {
            let folder = cgroups.root.join(&pid);
            fs::create_dir(&folder)?;
            cgroups.folders.push(folder.clone());
            fs::write(folder.join("cgroup.procs"), pid)?;
        }
        Ok(cgroups)
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for folder in self.folders.drain(..).chain([self.root.clone()]) {
            let Some(parent) = self.root.parent() else {
                return;
            };
            if let Ok(pids) = fs::read_to_string(folder.join("cgroup.procs")) {
                for pid in pids.lines() {
                    // One that has ended need not be moved out.
                    let _ = fs::write(parent.join("cgroup.procs"), pid);
                }
            }
            if let Err(error) = fs::remove_dir(&folder) {
                println!("{} is left behind: {error}", folder.display());
            }
        }
    }
}
