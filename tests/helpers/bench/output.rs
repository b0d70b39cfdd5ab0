//! How much output is taken from services that write as fast as they can, beside two loggers that do
//! nothing else: `svlogd` (runit) and `s6-log` (s6).
//!
//! All write into the same file system, lines of the same length, with the time before each line, and
//! rotate at 10 MiB. The clock runs from the first start until the last line is in its file.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use gladsheim_proto::v1::{GetStatisticsRequest, StartServiceRequest};
use gladsheim_tests::{bin, helper::complain, service};
use nix::sys::resource::{UsageWho, getrusage};
use tokio::time::sleep;

use crate::{figure::Figure, gauge::Supervisor, hall::Hall};

/// Lines of all services together, and bytes of each.
const LINES: u64 = 2_560_000;
const LINE: u64 = 100;

/// Who writes.
#[derive(Clone, Copy)]
struct Writers {
    services: usize,
    /// One line at a time, and not as many as fit into the writer's buffer.
    singly: bool,
}

impl Writers {
    fn lines(self) -> u64 {
        // A system call for each line takes its time.
        let all = if self.singly { LINES / 4 } else { LINES };
        all / self.services as u64
    }

    fn arguments(self) -> Vec<String> {
        let mut arguments = vec!["--lines".to_owned(), self.lines().to_string()];
        if self.singly {
            arguments.push("--singly".to_owned());
        }
        arguments
    }

    fn megabytes(self) -> f64 {
        (self.lines() * LINE * self.services as u64) as f64 / 1e6
    }

    fn figure(self, figure: String, unit: &'static str, value: f64) -> Figure {
        let singly = if self.singly { ", line by line" } else { "" };
        Figure {
            bench: "output",
            figure: (figure + singly).into(),
            services: self.services,
            unit,
            value,
            ..Figure::default()
        }
    }
}

/// A logger that is not ours.
struct Peer {
    name: &'static str,
    package: &'static str,
    /// Its arguments before the folder.
    arguments: &'static [&'static str],
    /// What its folder must hold.
    config: Option<&'static str>,
}

const PEERS: [Peer; 2] = [
    Peer {
        name: "svlogd",
        package: "runit",
        arguments: &["-ttt"],
        config: Some("s10485760\nn5\n"),
    },
    Peer {
        name: "s6-log",
        package: "s6",
        arguments: &["T", "n5", "s10485760"],
        config: None,
    },
];

/// Measures with one service and with a hundred.
pub(crate) async fn run() -> anyhow::Result<()> {
    for (services, singly) in [(1, false), (100, false), (1, true), (100, true)] {
        let writers = Writers { services, singly };
        let ours = daemon(writers).await?;
        let mut best: f64 = 0.0;
        for peer in &PEERS {
            match peer.measure(writers)? {
                Some(taken) => best = best.max(taken.print(writers, peer.name)?),
                None => complain(&format!(
                    "skipped: {}: not installed; `apt install {}`",
                    peer.name, peer.package
                )),
            }
        }
        let rate = ours.print(writers, "gladsheim")?;
        if best > 0.0 {
            // Goals are upper bounds: less than all of what we take.
            Figure {
                goal: Some(1.0),
                ..writers.figure("the best peer, of that".into(), "x", best / rate)
            }
            .print()?;
        }
    }
    Ok(())
}

/// What it took to take it all.
struct Taken {
    time: Duration,
    /// Seconds of the takers' CPU.
    cpu: f64,
}

impl Taken {
    /// Returns MB/s.
    fn print(&self, writers: Writers, name: &str) -> anyhow::Result<f64> {
        let rate = writers.megabytes() / self.time.as_secs_f64();
        let taken = format!("{name}: taken");
        writers.figure(taken, "MB/s", rate).print()?;
        let cpu = self.cpu * 1e3 / writers.megabytes();
        let name = format!("{name}: CPU for a MB");
        writers.figure(name, "ms", cpu).print()?;
        Ok(rate)
    }
}

async fn daemon(writers: Writers) -> anyhow::Result<Taken> {
    let names: Vec<_> = (1..=writers.services)
        .map(|number| format!("s{number:03}"))
        .collect();
    let arguments = writers.arguments();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let sections = names.iter().map(|name| {
        let flooding = service(name, "svc-flooding", &arguments);
        format!("{flooding}autostart = false\n")
    });
    let hall = Hall::at_rest(&sections.collect::<String>()).await?;
    let supervisor = Supervisor::of(&hall)?;
    let before = (supervisor.counters()?.cpu, supervisor.sizes()?.pss);
    let began = Instant::now();
    for service_name in &names {
        let start = StartServiceRequest {
            service_name: service_name.clone(),
            ..Default::default()
        };
        hall.client.start_service(start).await?;
    }
    loop {
        // Stopped means drained.
        let counts = hall.client.get_statistics(GetStatisticsRequest {}).await?;
        if counts.stopped_count == names.len() as u64 {
            break;
        }
        ensure!(
            began.elapsed() < Duration::from_secs(120),
            "they do not end"
        );
        sleep(Duration::from_millis(2)).await;
    }
    let time = began.elapsed();
    let after = (supervisor.counters()?.cpu, supervisor.sizes()?.pss);
    let grown = after.1 - before.1;
    let figure = "gladsheim: memory, more than before".to_owned();
    writers.figure(figure, "MiB", grown).print()?;
    hall.shut_down().await?;
    Ok(Taken {
        time,
        cpu: after.0 - before.0,
    })
}

impl Peer {
    /// `None` where it is not installed.
    fn measure(&self, writers: Writers) -> anyhow::Result<Option<Taken>> {
        let folder = tempfile::tempdir()?;
        let began = Instant::now();
        let mut pairs = Pairs::default();
        for index in 0..writers.services {
            let folder = folder.path().join(index.to_string());
            fs::create_dir(&folder)?;
            if let Some(config) = self.config {
                fs::write(folder.join("config"), config)?;
            }
            let Some(mut logger) = self.start(&folder)? else {
                return Ok(None);
            };
            let input = logger.stdin.take().context("it has an input")?;
            pairs.loggers.push(logger);
            let mut writer = Command::new(bin("svc-flooding"));
            writer.args(writers.arguments()).stdout(input);
            pairs.writers.push(writer.spawn()?);
        }
        // Whoever was reaped counts: the writers first.
        for mut writer in std::mem::take(&mut pairs.writers) {
            ensure!(writer.wait()?.success(), "the writer failed");
        }
        let reaped = children_cpu()?;
        for mut logger in std::mem::take(&mut pairs.loggers) {
            ensure!(logger.wait()?.success(), "{} failed", self.name);
        }
        let time = began.elapsed();
        Ok(Some(Taken {
            time,
            cpu: children_cpu()? - reaped,
        }))
    }

    fn start(&self, folder: &Path) -> anyhow::Result<Option<Child>> {
        let mut command = Command::new(self.name);
        command.args(self.arguments).arg(folder);
        match command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn() {
            Ok(child) => Ok(Some(child)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Dropping it kills and reaps them.
#[derive(Default)]
struct Pairs {
    loggers: Vec<Child>,
    writers: Vec<Child>,
}

impl Drop for Pairs {
    fn drop(&mut self) {
        for child in self.writers.iter_mut().chain(&mut self.loggers) {
            // It has ended already if this fails.
            let _ = child.kill().and_then(|()| child.wait());
        }
    }
}

/// Seconds of CPU of all children that were reaped.
fn children_cpu() -> anyhow::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}
