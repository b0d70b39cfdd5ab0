//! A loader whose processes are played: they are slow, crash, refuse to stop, and are counted.

use std::{
    collections::HashMap,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::ExitStatus,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use thjalfi::{
    AdoptOptions, LogQuery, LogStream, ProcessEvent, ProcessExit, Readiness, ServiceLoaderApi,
    ServiceLoaderError, ServiceProcess, Signal, StartOptions,
    mock::{FakeProcess, FakeProcessControl},
};
use tokio::{
    sync::broadcast,
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;

use crate::dice::Dice;

#[derive(Clone)]
pub(crate) struct FakeLoader {
    dice: Dice,
    slots: Arc<Mutex<HashMap<String, Slot>>>,
    tasks: TaskTracker,
}

#[derive(Default)]
struct Slot {
    /// A launch is under way.
    reserved: bool,
    run: Option<Arc<Run>>,
    pids: u32,
}

struct Run {
    process: ServiceProcess,
    control: FakeProcessControl,
}

impl FakeLoader {
    pub(crate) fn new(dice: Dice) -> Self {
        Self {
            dice,
            slots: Arc::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// Whether a process of the service lives.
    pub(crate) fn lives(&self, name: &str) -> bool {
        self.run(name).is_some()
    }

    /// A process of the service, if one lives, ends at this very moment.
    pub(crate) fn crash(&self, name: &str) {
        if let Some(run) = self.run(name) {
            self.end(name, &run, ExitStatus::from_raw(11), false);
        }
    }

    fn run(&self, name: &str) -> Option<Arc<Run>> {
        self.slots
            .lock()
            .unwrap()
            .get(name)
            .and_then(|slot| slot.run.clone())
    }

    /// The end of a run, whoever brings it about first.
    fn end(&self, name: &str, run: &Arc<Run>, status: ExitStatus, killed: bool) {
        let mut slots = self.slots.lock().unwrap();
        let slot = slots.get_mut(name).unwrap();
        if slot
            .run
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, run))
        {
            slot.run = None;
            run.control.exit(ProcessExit {
                status: Some(status),
                at: SystemTime::now(),
                killed,
                leaked: Vec::new(),
                oom_kills: 0,
            });
        }
    }

    /// What the process does by itself: become ready or not, and end sooner or later.
    async fn live(self, name: String, run: Arc<Run>) {
        if self.dice.chance(85) {
            sleep(self.dice.millis(3_000)).await;
            run.control.ready();
        }
        let lifetime = match self.dice.below(4) {
            0 => self.dice.millis(50),
            1 => self.dice.millis(5_000),
            2 => self.dice.millis(200_000),
            _ => return,
        };
        sleep(lifetime).await;
        let status = match self.dice.below(3) {
            0 => ExitStatus::from_raw(0),
            1 => ExitStatus::from_raw(1 << 8),
            _ => ExitStatus::from_raw(11),
        };
        self.end(&name, &run, status, false);
    }
}

fn not_running<T>(name: &str) -> Result<T, ServiceLoaderError> {
    Err(ServiceLoaderError::NotRunning(name.to_owned()))
}

#[async_trait]
impl ServiceLoaderApi for FakeLoader {
    async fn load_service(
        &self,
        _: &str,
        _: Option<String>,
    ) -> Result<thjalfi::Loaded, ServiceLoaderError> {
        Ok(thjalfi::Loaded::default())
    }

    async fn run_command(
        &self,
        name: &str,
        _: &[String],
    ) -> Result<thjalfi::CommandEnd, ServiceLoaderError> {
        Err(ServiceLoaderError::NotRunning(name.to_owned()))
    }

    async fn start_service(
        &self,
        _: &str,
        _: StartOptions,
    ) -> Result<ServiceProcess, ServiceLoaderError> {
        unreachable!("the core launches")
    }

    async fn launch_service(
        &self,
        name: &str,
        options: StartOptions,
    ) -> Result<ServiceProcess, ServiceLoaderError> {
        {
            let mut slots = self.slots.lock().unwrap();
            let slot = slots.entry(name.to_owned()).or_default();
            assert!(
                !slot.reserved && slot.run.is_none(),
                "{name} is launched while it runs"
            );
            slot.reserved = true;
        }
        let patience = if self.dice.chance(5) { 10_000 } else { 20 };
        sleep(self.dice.millis(patience)).await;
        let mut slots = self.slots.lock().unwrap();
        let slot = slots.get_mut(name).unwrap();
        slot.reserved = false;
        if self.dice.chance(8) {
            return Err(match self.dice.below(3) {
                0 => ServiceLoaderError::Unauthorized(format!("{name}: chance")),
                _ => ServiceLoaderError::SpawnFailed(format!("{name}: chance")),
            });
        }
        slot.pids += 1;
        let (process, control) = FakeProcess::new(name, slot.pids);
        if options.readiness == Readiness::Exec {
            control.ready();
        }
        let run = Arc::new(Run {
            process: process.clone(),
            control,
        });
        slot.run = Some(Arc::clone(&run));
        self.tasks.spawn(self.clone().live(name.to_owned(), run));
        Ok(process)
    }

    async fn adopt_service(
        &self,
        name: &str,
        _: AdoptOptions,
    ) -> Result<ServiceProcess, ServiceLoaderError> {
        not_running(name)
    }

    async fn end_leftovers(&self) -> Result<(), ServiceLoaderError> {
        Ok(())
    }

    async fn stop_service(&self, name: &str, grace: Duration) -> Result<(), ServiceLoaderError> {
        let Some(run) = self.run(name) else {
            return not_running(name);
        };
        let wanted = self.dice.millis(15_000);
        if timeout(grace.min(wanted), run.process.exited())
            .await
            .is_ok()
        {
            return Ok(());
        }
        let (status, killed) = if wanted <= grace {
            (ExitStatus::from_raw(15), false)
        } else if self.dice.chance(20) {
            return Err(ServiceLoaderError::ShutdownTimeout(name.to_owned()));
        } else {
            (ExitStatus::from_raw(9), true)
        };
        self.end(name, &run, status, killed);
        Ok(())
    }

    async fn force_kill_service(&self, name: &str) -> Result<(), ServiceLoaderError> {
        let Some(run) = self.run(name) else {
            return not_running(name);
        };
        sleep(self.dice.millis(10)).await;
        self.end(name, &run, ExitStatus::from_raw(9), true);
        Ok(())
    }

    async fn restart_service(
        &self,
        _: &str,
        _: StartOptions,
    ) -> Result<ServiceProcess, ServiceLoaderError> {
        unreachable!("the core stops and launches")
    }

    fn get_process(&self, name: &str) -> Option<ServiceProcess> {
        self.run(name).map(|run| run.process.clone())
    }

    fn is_running(&self, name: &str) -> bool {
        self.lives(name)
    }

    fn signal_service(&self, name: &str, _: Signal) -> Result<(), ServiceLoaderError> {
        if self.lives(name) {
            Ok(())
        } else {
            not_running(name)
        }
    }

    fn set_service_paths(&self, _: HashMap<String, PathBuf>) {}

    fn containment(&self) -> &'static str {
        "session"
    }

    fn read_log(&self, name: &str, _: LogQuery) -> Result<LogStream, ServiceLoaderError> {
        not_running(name)
    }

    async fn hand_over(&self) -> Result<(), ServiceLoaderError> {
        Ok(())
    }

    fn go_on(&self) {}

    async fn close(&self) {}

    fn subscribe(&self) -> broadcast::Receiver<ProcessEvent> {
        broadcast::channel(1).1
    }
}
