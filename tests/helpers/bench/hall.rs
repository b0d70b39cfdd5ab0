//! A hall of services that only pause, and its daemon.

use std::{
    process::Child,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use gladsheim_proto::{
    Client,
    v1::{GetStatisticsRequest, ListServicesRequest},
};
use gladsheim_tests::{TestDaemon, service};
use tokio::time::sleep;

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// A daemon with its services. Dropping it ends them all.
#[derive(Debug)]
pub(crate) struct Hall {
    // In this order: the daemon first, or it would bring its services back.
    daemon: Daemon,
    folder: TestDaemon,
    pub(crate) client: Client,
    pub(crate) names: Vec<String>,
    /// From the start of the daemon to its first answer.
    pub(crate) answering: Duration,
    /// From the start of the daemon until all services ran.
    pub(crate) bring_up: Duration,
    /// The longest that a call had to wait meanwhile.
    pub(crate) slowest_answer: Duration,
}

/// A process that is killed and reaped when it is dropped.
#[derive(Debug)]
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It has ended already if this fails.
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

impl Hall {
    /// Starts a daemon with `count` services and waits until all of them are running and healthy.
    /// `settings` stand at the beginning of the hall file.
    pub(crate) async fn open(count: usize, settings: &str) -> anyhow::Result<Self> {
        Self::open_with(count, settings, "").await
    }

    /// As `open`, with more keys for each service.
    pub(crate) async fn open_with(
        count: usize,
        settings: &str,
        keys: &str,
    ) -> anyhow::Result<Self> {
        let names: Vec<_> = (1..=count).map(|number| format!("s{number:04}")).collect();
        let sections = names
            .iter()
            .map(|name| service(name, "svc-pausing", &[]) + keys);
        let mut hall =
            Self::at_rest(&format!("{settings}\n{}", sections.collect::<String>())).await?;
        hall.names = names;
        let began = Instant::now() - hall.answering;
        hall.slowest_answer = hall.wait_until_running().await?;
        hall.bring_up = began.elapsed();
        hall.wait_until_healthy().await?;
        Ok(hall)
    }

    /// Starts a daemon with this hall file, and waits for its first answer.
    pub(crate) async fn at_rest(file: &str) -> anyhow::Result<Self> {
        let folder = TestDaemon::prepare(file);
        let began = Instant::now();
        let mut daemon = Daemon(folder.daemon_command().spawn()?);
        let client = loop {
            if let Ok(client) = Client::connect(&folder.socket()).await {
                break client;
            }
            if let Some(status) = daemon.0.try_wait()? {
                bail!("the daemon ended: {status}\n{}", folder.log());
            }
            ensure!(
                began.elapsed() < DEADLINE,
                "no daemon answers\n{}",
                folder.log()
            );
            sleep(Duration::from_micros(200)).await;
        };
        client.get_statistics(GetStatisticsRequest {}).await?;
        let answering = began.elapsed();
        Ok(Self {
            daemon,
            folder,
            client,
            names: Vec::new(),
            answering,
            bring_up: Duration::ZERO,
            slowest_answer: Duration::ZERO,
        })
    }

    /// Writes the hall file anew, with another argument for one of the services.
    pub(crate) fn change_one(&self, settings: &str) {
        let changed = self.names.len() / 2;
        let sections = self.names.iter().enumerate().map(|(index, name)| {
            let arguments = ["-v"];
            let more = usize::from(index == changed);
            service(name, "svc-pausing", &arguments[..more])
        });
        self.folder
            .write_hall(&format!("{settings}\n{}", sections.collect::<String>()));
    }

    /// Pid of the daemon.
    pub(crate) fn daemon_pid(&self) -> u32 {
        self.daemon.0.id()
    }

    /// Pid of the hall's keeper, where there is one.
    pub(crate) fn keeper_pid(&self) -> Option<u32> {
        let keeper = self.folder.keeper()?.pid;
        (keeper != self.daemon_pid()).then_some(keeper)
    }

    /// All living processes of the hall but the daemon and its keeper.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let daemon = self.daemon_pid();
        let all = self.folder.processes().into_iter();
        all.map(|process| process.pid)
            .filter(|pid| *pid != daemon)
            .collect()
    }

    /// Returns how long the slowest answer took.
    async fn wait_until_running(&self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let mut slowest = self.answering;
        loop {
            let asked = Instant::now();
            let counts = self.client.get_statistics(GetStatisticsRequest {}).await?;
            slowest = slowest.max(asked.elapsed());
            if counts.running_count == self.names.len() as u64 {
                return Ok(slowest);
            }
            ensure!(
                began.elapsed() < DEADLINE,
                "{} of {} run\n{}",
                counts.running_count,
                self.names.len(),
                self.folder.log()
            );
            // Often enough to be exact, seldom enough not to be in the way.
            sleep(Duration::from_millis(1 + self.names.len() as u64 / 200)).await;
        }
    }

    async fn wait_until_healthy(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let answer = self
                .client
                .list_services(ListServicesRequest::default())
                .await?;
            let ill = answer
                .services
                .iter()
                .find(|service| service.health != "healthy");
            let Some(ill) = ill else { return Ok(()) };
            ensure!(
                began.elapsed() < DEADLINE,
                "{} is {}",
                ill.service_name,
                ill.health
            );
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Shuts down gracefully, and returns how long that took, with the daemon's own end.
    pub(crate) async fn shut_down(mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        self.client.shutdown(Default::default()).await?;
        while self.daemon.0.try_wait()?.is_none() {
            ensure!(began.elapsed() < DEADLINE, "the daemon does not end");
            sleep(Duration::from_micros(200)).await;
        }
        let took = began.elapsed();
        let left = self.processes();
        ensure!(left.is_empty(), "left behind: {left:?}");
        Ok(took)
    }

    /// Pid of a running service.
    pub(crate) async fn pid_of(&self, service_name: &str) -> anyhow::Result<i32> {
        let request = gladsheim_proto::v1::GetServiceStatusRequest {
            service_name: service_name.to_owned(),
        };
        let status = self
            .client
            .get_service_status(request)
            .await
            .context(service_name.to_owned())?;
        ensure!(status.process_id > 0, "{service_name} is {}", status.state);
        Ok(status.process_id)
    }
}
