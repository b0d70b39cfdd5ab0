//! How far each backend is from what the kernel says of a process.

use std::{io, sync::Arc, thread, time::Duration};

use byggvir::{ProcessTree, ProcfsProbe, SysinfoProbe, SystemProbe, TrackedTree, TreeSample};

use crate::burden::Burden;

/// Over how much CPU time it is compared: a clock tick of 10 ms is half a percent of it.
const WORK: Duration = Duration::from_secs(2);

pub(crate) fn report() -> io::Result<()> {
    println!(
        "\nbackend  error of memory  error of CPU  (target: 2 %; against smaps_rollup and the process's clock)"
    );
    let probes: [(&str, &str, Box<dyn SystemProbe>); 2] = [
        ("procfs", "Anonymous:", Box::new(ProcfsProbe::new())),
        // It knows no better than resident memory: the program's own code counts too.
        ("sysinfo", "Rss:", Box::new(SysinfoProbe::new())),
    ];
    for (backend, key, mut probe) in probes {
        let mut hungry = Burden::start("memory")?;
        hungry.go()?;
        let measured = sample(&mut *probe, 1, &hungry)?.memory_bytes as f64;
        let memory = measured / hungry.pages(key)? as f64 - 1.0;

        let mut busy = Burden::start("busy")?;
        busy.go()?;
        let (before, earlier) = (busy.clock()?, sample(&mut *probe, 2, &busy)?);
        while busy.clock()? < before + WORK {
            thread::sleep(Duration::from_millis(50));
        }
        let (after, later) = (busy.clock()?, sample(&mut *probe, 2, &busy)?);
        let spent = (later.cpu_time - earlier.cpu_time).as_secs_f64();
        let cpu = spent / (after - before).as_secs_f64() - 1.0;
        println!(
            "{backend:7}  {:>14.2} %  {:>10.2} %",
            memory * 100.0,
            cpu * 100.0
        );
    }
    println!("cgroup   is measured by `cargo xtask vm-test`, which fails beyond 2 %");
    Ok(())
}

fn sample(probe: &mut dyn SystemProbe, run: u64, burden: &Burden) -> io::Result<TreeSample> {
    let tree = Arc::new(ProcessTree {
        pid: burden.pid(),
        cgroup: None,
    });
    let samples = probe.sample(&[TrackedTree { run, tree }]);
    samples
        .into_iter()
        .next()
        .unwrap_or_else(|| Err(io::ErrorKind::InvalidData.into()))
}
