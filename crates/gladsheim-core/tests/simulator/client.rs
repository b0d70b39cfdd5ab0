//! Clients that ask for anything at any time, and get an answer to everything.

use std::time::Duration;

use byggvir::{LimitViolation, ResourceUsage, ViolationType};
use gladsheim_core::{
    Gladsheim, HallPorts, Result, ServiceDefinition, StartOverrides, StopOptions, WaitCondition,
};
use skirnir::ServiceState;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{definition::changed, dice::Dice, loader::FakeLoader};

/// Nothing waits longer; in virtual time it costs nothing.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

/// Somebody with a keyboard, beside others.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) hall: Gladsheim,
    pub(crate) ports: HallPorts,
    pub(crate) loader: FakeLoader,
    pub(crate) services: Vec<ServiceDefinition>,
    pub(crate) dice: Dice,
}

impl Client {
    pub(crate) async fn run(self) {
        for _ in 0..10 {
            let dice = &self.dice;
            match dice.below(4) {
                0 => {}
                1 => sleep(dice.millis(5)).await,
                _ => sleep(dice.millis(20_000)).await,
            }
            let name = self.any().to_owned();
            if dice.chance(15) {
                self.pile_up(&name).await;
            } else {
                self.ask(&name).await;
            }
            check_now(&self.hall, &name);
        }
    }

    pub(crate) fn any(&self) -> &str {
        &self.services[self.dice.below(self.services.len() as u64) as usize].name
    }

    /// Several commands in the same instant; what they are is up to chance.
    async fn pile_up(&self, name: &str) {
        let mut all = JoinSet::new();
        for _ in 0..2 + self.dice.below(4) {
            let (client, name) = (self.clone(), name.to_owned());
            all.spawn(async move { client.ask(&name).await });
        }
        all.join_all().await;
    }

    /// One command. Whether it is granted does not matter here, but an answer must come.
    async fn ask(&self, name: &str) {
        let what = self.dice.below(14);
        let answered = timeout(FOR_EVER, self.command(what, name)).await;
        assert!(
            answered.is_ok(),
            "command {what} for {name} is never answered: {:?}",
            self.hall.get_service_status(name)
        );
    }

    async fn command(&self, what: u64, name: &str) -> Result<()> {
        let (hall, dice) = (&self.hall, &self.dice);
        match what {
            0..=2 => {
                let started = hall.start_service(name, StartOverrides::default());
                started.await.map(drop)
            }
            3 | 4 => {
                let options = StopOptions {
                    force: dice.chance(50),
                    timeout: dice.chance(30).then(|| dice.millis(5_000)),
                };
                hall.stop_service(name, options).await.map(drop)
            }
            5 => hall.force_kill_service(name).await.map(drop),
            6 => hall.restart_service(name).await.map(drop),
            7 => hall.reset_service(name).await,
            8 => hall.reload(changed(&self.services, dice)).await.map(drop),
            9 => {
                self.loader.crash(name);
                Ok(())
            }
            10 => {
                self.over_its_limit(name).await;
                Ok(())
            }
            11 => {
                self.ports.battery.low(5).await;
                sleep(dice.millis(30_000)).await;
                self.ports.battery.ok(95).await;
                Ok(())
            }
            12 => hall.set_maintenance(name, dice.chance(50)).await,
            // Waiting ends by itself only if somebody brings it about: a person gives up.
            _ => {
                let waiting = hall.wait_for(name, WaitCondition::Ready);
                timeout(dice.millis(30_000), waiting)
                    .await
                    .map_or(Ok(()), |end| end.map(drop))
            }
        }
    }

    async fn over_its_limit(&self, name: &str) {
        let violation = LimitViolation {
            service_name: name.to_owned(),
            violation_type: ViolationType::MemoryExceeded,
            current_usage: ResourceUsage::default(),
            limits: Default::default(),
            timestamp: std::time::SystemTime::now(),
        };
        if self.dice.chance(50) {
            self.ports.limits.restart(violation).await;
        } else {
            self.ports.limits.stop(violation).await;
        }
    }
}

/// What holds at every moment.
pub(crate) fn check_now(hall: &Gladsheim, name: &str) {
    let status = hall.get_service_status(name).unwrap();
    let runs = status.process_id != 0;
    let may_run = match status.state {
        ServiceState::Running => Some(true),
        ServiceState::Stopped | ServiceState::Crashed | ServiceState::Failed => Some(false),
        ServiceState::Unknown
        | ServiceState::Starting
        | ServiceState::Stopping
        | ServiceState::Restarting => None,
    };
    assert!(may_run.is_none_or(|may| may == runs), "{name}: {status:?}");
    assert!(
        status.ready <= runs,
        "{name} is ready without a process: {status:?}"
    );
}
