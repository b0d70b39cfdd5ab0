//! How far each backend is from what the kernel says of a process.

use std::{io, sync::Arc, thread, time::Duration};

use byggvir::{
    CgroupProbe, ProcessTree, ProcfsProbe, SysinfoProbe, SystemProbe, TrackedTree, TreeSample,
};

use crate::{Cgroups, burden::Burden};

/// Over how much CPU time it is compared: a clock tick of 10 ms is half a percent of it.
const WORK: Duration = Duration::from_secs(2);

pub(crate) fn report() -> io::Result<()> {
    println!(
        "\nbackend  error of memory  error of CPU  (target: 2 %; against smaps_rollup and the process's clock)"
    );
    let probes: [(&str, &str, Box<dyn SystemProbe>); 3] = [
        ("procfs", "Anonymous:", Box::new(ProcfsProbe::new())),
        // It knows no better than resident memory: the program's own code counts too.
        ("sysinfo", "Rss:", Box::new(SysinfoProbe::new())),
        ("cgroup", "Anonymous:", Box::new(CgroupProbe::new())),
    ];
    for (backend, key, mut probe) in probes {
        let mut hungry = Burden::start("memory")?;
        let mut busy = Burden::start("busy")?;
        let mut trees = [hungry.pid(), busy.pid()].map(|pid| ProcessTree { pid, cgroup: None });
        // Before they begin: what a process held before it came belongs to the group where it was.
        let mut groups = None;
        if backend == "cgroup" {
            let made = Cgroups::make(&[hungry.pid(), busy.pid()])?;
            for (tree, folder) in trees.iter_mut().zip(&made.folders) {
                tree.cgroup = Some(folder.clone());
            }
            groups = Some(made);
        }
        if groups.is_some() && !CgroupProbe::covers(&trees[0]) {
            println!("cgroup   has no controllers here: `cargo xtask bench resources-vm`");
            continue;
        }
        let trees = trees.map(Arc::new);
        let mut sample = |number: usize| sample(&mut *probe, number, &trees[number]);
        hungry.go()?;
        let measured = sample(0)?.memory_bytes as f64;
        let memory = measured / hungry.pages(key)? as f64 - 1.0;

        busy.go()?;
        let (before, earlier) = (busy.clock()?, sample(1)?);
        while busy.clock()? < before + WORK {
            thread::sleep(Duration::from_millis(50));
        }
        let (after, later) = (busy.clock()?, sample(1)?);
        let spent = (later.cpu_time - earlier.cpu_time).as_secs_f64();
        let cpu = spent / (after - before).as_secs_f64() - 1.0;
        println!(
            "{backend:7}  {:>14.2} %  {:>10.2} %",
            memory * 100.0,
            cpu * 100.0
        );
    }
    Ok(())
}

fn sample(
    probe: &mut dyn SystemProbe,
    number: usize,
    tree: &Arc<ProcessTree>,
) -> io::Result<TreeSample> {
    let samples = probe.sample(&[TrackedTree {
        run: number as u64,
        tree: Arc::clone(tree),
    }]);
    samples
        .into_iter()
        .next()
        .unwrap_or_else(|| Err(io::ErrorKind::InvalidData.into()))
}
