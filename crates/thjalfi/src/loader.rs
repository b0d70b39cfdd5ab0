//! The service loader: from a name and options to a supervised process.

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::sync::{OnceCell, OwnedRwLockWriteGuard, RwLock, Semaphore, broadcast};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    AdoptOptions, Authorizer, CommandEnd, Heimdall, LogQuery, LogStream, OsSpawner, ProcessEvent,
    ProcessSpawner, Readiness, ServiceLoaderConfig, ServiceLoaderError, ServiceProcess, Signal,
    StartOptions,
    actor::{OnTimeout, StopOutcome},
    beside,
    command::{Setting, Spawner},
    error::{SpawnError, Stage},
    follow,
    identity::Identity,
    keeper::Keeper,
    logfile::Log,
    notify::{self, Notifier},
    options,
    slots::{self, Reservation, Run, Slots},
    socket::{self, Sockets},
    spawn::{SpawnSpec, program_path},
    watchdog,
};

mod handover;
mod load;
mod run;

/// Starts, stops and looks up services (specification: Thjalfi, `ServiceLoader`).
///
/// A cheap handle: clones share everything. When the last one is dropped, services keep running and
/// are still supervised, unless `kill_on_drop` is set. The methods have to be called within a tokio
/// runtime, [`new`](Self::new) need not.
#[derive(Debug, Clone)]
pub struct ServiceLoader {
    inner: Arc<Inner>,
}

/// What a loader needs from outside.
pub struct Ports {
    /// Starts processes.
    pub spawner: Arc<dyn ProcessSpawner>,
    /// Decides who may start.
    pub authorizer: Arc<dyn Authorizer>,
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Inner {
    config: ServiceLoaderConfig,
    ports: Ports,
    /// Apart from the configuration, as they change.
    paths: std::sync::RwLock<HashMap<String, PathBuf>>,
    slots: Arc<Slots>,
    logs: Mutex<HashMap<String, Arc<Log>>>,
    notifier: Arc<Notifier>,
    sockets: Sockets,
    keeper: Keeper,
    /// Done once what an earlier daemon has left was fetched.
    opened: OnceCell<()>,
    /// One at a time.
    turns: Semaphore,
    /// Held for reading by each start under way.
    starts: Arc<RwLock<()>>,
    /// Keeps new starts away while another program is about to take over.
    no_starts: Mutex<Option<OwnedRwLockWriteGuard<()>>>,
    tasks: TaskTracker,
    abandoned: CancellationToken,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.config.kill_on_drop {
            self.abandoned.cancel();
            // The runtime may be ending as well, and the supervisors with it.
            self.slots.kill_all();
        }
    }
}

impl ServiceLoader {
    /// A loader of real processes with the built-in authoriser. Opens and starts nothing.
    pub fn new(config: ServiceLoaderConfig) -> Self {
        let spawner = OsSpawner::new(config.containment, config.cgroup_name.clone());
        let ports = Ports {
            spawner: Arc::new(spawner),
            authorizer: Arc::new(Heimdall::default()),
        };
        Self::with_ports(config, ports)
    }

    /// A loader with other ports. `containment` and `cgroup_name` are the spawner's business then.
    pub fn with_ports(config: ServiceLoaderConfig, ports: Ports) -> Self {
        let keeper = Keeper::new(config.keeper.clone());
        Self {
            inner: Arc::new(Inner {
                paths: std::sync::RwLock::new(config.service_paths.clone()),
                ports,
                slots: Arc::new(Slots::new()),
                logs: Mutex::default(),
                sockets: Sockets::new(keeper.clone()),
                keeper,
                opened: OnceCell::new(),
                notifier: Arc::new(Notifier::new(config.cgroup_name.clone())),
                turns: Semaphore::new(1),
                starts: Arc::default(),
                no_starts: Mutex::default(),
                tasks: TaskTracker::new(),
                abandoned: CancellationToken::new(),
                config,
            }),
        }
    }

    /// As [`ServiceLoaderApi::start_service`](crate::ServiceLoaderApi::start_service).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn start_service(
        &self,
        service_name: &str,
        options: StartOptions,
    ) -> Result<ServiceProcess, ServiceLoaderError> {
        let limit = self.inner.startup_limit(&options);
        let run = self.launch(service_name, options).await?;
        match run.process.within_start(limit, run.process.ready()).await {
            Some(ready) => ready.map(|()| run.process),
            None => {
                run.end(slots::kill).await;
                Err(ServiceLoaderError::StartupTimeout(format!(
                    "{service_name}: not ready within {limit:?}"
                )))
            }
        }
    }

    /// As [`ServiceLoaderApi::launch_service`](crate::ServiceLoaderApi::launch_service).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn launch_service(
        &self,
        service_name: &str,
        options: StartOptions,
    ) -> Result<ServiceProcess, ServiceLoaderError> {
        Ok(self.launch(service_name, options).await?.process)
    }

    /// As [`ServiceLoaderApi::stop_service`](crate::ServiceLoaderApi::stop_service).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn stop_service(
        &self,
        service_name: &str,
        timeout: Duration,
    ) -> Result<(), ServiceLoaderError> {
        let on_timeout = if self.inner.config.force_kill_after_timeout {
            OnTimeout::Kill
        } else {
            OnTimeout::Leave
        };
        let stop = slots::stop(timeout, on_timeout);
        match self.inner.slots.end(service_name, stop).await? {
            StopOutcome::Ended => Ok(()),
            StopOutcome::TimedOut => Err(ServiceLoaderError::ShutdownTimeout(format!(
                "{service_name}: still running after {timeout:?}"
            ))),
        }
    }

    /// As [`ServiceLoaderApi::force_kill_service`](crate::ServiceLoaderApi::force_kill_service).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn force_kill_service(&self, service_name: &str) -> Result<(), ServiceLoaderError> {
        self.inner
            .slots
            .end(service_name, slots::kill)
            .await
            .map(drop)
    }

    /// As [`ServiceLoaderApi::restart_service`](crate::ServiceLoaderApi::restart_service).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn restart_service(
        &self,
        service_name: &str,
        options: StartOptions,
    ) -> Result<ServiceProcess, ServiceLoaderError> {
        match self
            .stop_service(service_name, self.inner.config.shutdown_timeout)
            .await
        {
            Ok(()) | Err(ServiceLoaderError::NotRunning(_)) => {}
            Err(error) => return Err(error),
        }
        self.start_service(service_name, options).await
    }

    /// As [`ServiceLoaderApi::run_command`](crate::ServiceLoaderApi::run_command).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn run_command(
        &self,
        service_name: &str,
        command: &[String],
    ) -> Result<CommandEnd, ServiceLoaderError> {
        let run = self.inner.slots.run(service_name);
        let run = run.ok_or_else(|| ServiceLoaderError::NotRunning(service_name.to_owned()))?;
        beside::run(&run.setting, service_name, command, &self.inner.tasks)
            .await
            .map_err(|error| ServiceLoaderError::spawn_failed(service_name, &error))
    }

    /// As [`ServiceLoaderApi::get_process`](crate::ServiceLoaderApi::get_process).
    pub fn get_process(&self, service_name: &str) -> Option<ServiceProcess> {
        self.inner.slots.run(service_name).map(|run| run.process)
    }

    /// As [`ServiceLoaderApi::is_running`](crate::ServiceLoaderApi::is_running).
    pub fn is_running(&self, service_name: &str) -> bool {
        self.get_process(service_name).is_some()
    }

    /// As [`ServiceLoaderApi::signal_service`](crate::ServiceLoaderApi::signal_service).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn signal_service(
        &self,
        service_name: &str,
        signal: Signal,
    ) -> Result<(), ServiceLoaderError> {
        match self.get_process(service_name) {
            Some(process) => Ok(process.send_signal(signal)?),
            None => Err(ServiceLoaderError::NotRunning(service_name.to_owned())),
        }
    }

    /// As [`ServiceLoaderApi::set_service_paths`](crate::ServiceLoaderApi::set_service_paths).
    pub fn set_service_paths(&self, service_paths: HashMap<String, PathBuf>) {
        let paths = self.inner.paths.write();
        let mut paths = paths.unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *paths, service_paths);
        for gone in before.keys().filter(|name| !paths.contains_key(*name)) {
            self.inner.ports.spawner.forget(gone);
            self.inner.sockets.forget(gone);
        }
    }

    /// As [`ServiceLoaderApi::containment`](crate::ServiceLoaderApi::containment).
    pub fn containment(&self) -> &'static str {
        self.inner.ports.spawner.containment()
    }

    /// As [`ServiceLoaderApi::read_log`](crate::ServiceLoaderApi::read_log).
    ///
    /// # Errors
    ///
    /// As there; `Io` also where no `log_dir` is configured.
    pub fn read_log(
        &self,
        service_name: &str,
        query: LogQuery,
    ) -> Result<LogStream, ServiceLoaderError> {
        if self.inner.path(service_name).is_none() {
            return Err(ServiceLoaderError::ServiceNotFound(service_name.to_owned()));
        }
        match self.inner.log(service_name) {
            Some(log) => Ok(follow::read(log, query, &self.inner.tasks)),
            None => Err(std::io::Error::other("output is not captured; set log_dir").into()),
        }
    }

    /// As [`ServiceLoaderApi::subscribe`](crate::ServiceLoaderApi::subscribe).
    pub fn subscribe(&self) -> broadcast::Receiver<ProcessEvent> {
        self.inner.slots.subscribe()
    }

    /// As [`ServiceLoaderApi::adopt_service`](crate::ServiceLoaderApi::adopt_service).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn adopt_service(
        &self,
        service_name: &str,
        options: AdoptOptions,
    ) -> Result<ServiceProcess, ServiceLoaderError> {
        let reservation = self.inner.slots.reserve(service_name).await?;
        let run = self.inner.adopt(service_name, options, reservation).await?;
        Ok(run.process)
    }

    /// As [`ServiceLoaderApi::end_leftovers`](crate::ServiceLoaderApi::end_leftovers).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn end_leftovers(&self) -> Result<(), ServiceLoaderError> {
        self.inner.open().await;
        let is_known = |name: &str| self.inner.path(name).is_some();
        self.inner.notifier.read(&self.inner.tasks);
        self.inner.keeper.forget_others(is_known);
        self.inner.sockets.retain(is_known);
        Ok(self.inner.ports.spawner.end_leftovers().await?)
    }

    /// As [`ServiceLoaderApi::close`](crate::ServiceLoaderApi::close).
    pub async fn close(&self) {
        self.inner.sockets.retain(|_| false);
        self.inner.keeper.close().await;
    }

    async fn launch(
        &self,
        service_name: &str,
        options: StartOptions,
    ) -> Result<Run, ServiceLoaderError> {
        let path = self
            .inner
            .path(service_name)
            .ok_or_else(|| ServiceLoaderError::ServiceNotFound(service_name.to_owned()))?;
        let failed = |error| ServiceLoaderError::spawn_failed(service_name, &error);
        options::check(service_name, &options).map_err(failed)?;
        let reservation = self.inner.slots.reserve(service_name).await?;
        if options.pre_start.is_none() {
            return self
                .inner
                .start(service_name, &path, options, reservation)
                .await;
        }
        // A task of its own: a caller that gives up must not leave half a command behind.
        let inner = Arc::clone(&self.inner);
        let name = service_name.to_owned();
        let start = async move { inner.start(&name, &path, options, reservation).await };
        match self.inner.tasks.spawn(start).await {
            Ok(result) => result,
            Err(error) => Err(ServiceLoaderError::Io(error.into())),
        }
    }
}

impl Inner {
    async fn start(
        &self,
        service_name: &str,
        path: &Path,
        options: StartOptions,
        reservation: Reservation,
    ) -> Result<Run, ServiceLoaderError> {
        self.turn().await;
        let _starting = self.starts.read().await;
        self.open().await;
        let failed = |error| ServiceLoaderError::spawn_failed(service_name, &error);
        let program = program_path(path);
        let admission = self
            .admit(service_name, &program, options.sha256.clone())
            .await?;
        let executable = admission.executable.map(Into::into);
        let identity = Identity::resolve(options.user.as_deref(), options.group.as_deref());
        let setting = Setting {
            spawner: Spawner(Arc::clone(&self.ports.spawner)),
            identity: identity.map_err(failed)?,
            log: self.log(service_name),
            options: Arc::new(options),
        };
        let options = Arc::clone(&setting.options);
        if let Some(command) = &options.pre_start {
            let limit = self.startup_limit(&options);
            setting
                .run(service_name, command, limit, &reservation.cancel)
                .await
                .map_err(failed)?;
        }
        if reservation.cancel.is_cancelled() {
            let cancelled = std::io::Error::other("stopped while it was starting");
            return Err(failed(SpawnError::new(Stage::PreStart, None, cancelled)));
        }
        let mut extra_env = Vec::new();
        if options.listens() {
            let address = self
                .notifier
                .address(&self.tasks)
                .map_err(|error| failed(SpawnError::new(Stage::Notify, None, error)))?;
            extra_env.push((notify::VARIABLE.to_owned(), address));
        }
        let sockets = self.sockets.open(service_name, &options.sockets);
        let sockets = sockets.map_err(failed)?;
        if !sockets.is_empty() {
            extra_env.extend(socket::variables(&options.sockets));
        }
        if let Some(interval) = options.watchdog {
            let micros = interval.as_micros().to_string();
            extra_env.push((watchdog::VARIABLE.to_owned(), micros));
        }
        let service = |spec| SpawnSpec {
            program,
            executable,
            args: options.args.clone(),
            extra_env,
            sockets,
            ..spec
        };
        let (child, output) = setting.spawn(service_name, service).await.map_err(failed)?;
        let start_time = SystemTime::now();
        let (run, supervisor) = self.supervisor(service_name, setting, child, output, start_time);
        reservation.fulfil(run.clone());
        self.slots.tell(ProcessEvent::Started {
            service_name: service_name.to_owned(),
            pid: run.process.pid,
            start_time,
        });
        if options.readiness == Readiness::Exec {
            supervisor.become_ready();
        }
        self.tasks.spawn(Box::new(supervisor).run());
        Ok(run)
    }

    /// Before the first process: goes on with what an earlier daemon had kept.
    async fn open(&self) {
        let open = async || {
            // The keeper belongs into the group that this process moves to.
            self.ports.spawner.containment();
            self.keeper.open(&self.tasks).await;
            self.sockets.resume();
            self.resume_notifier();
        };
        self.opened.get_or_init(open).await;
    }

    /// Zero, which no start could meet, is the configured time.
    fn startup_limit(&self, options: &StartOptions) -> Duration {
        if options.startup_timeout.is_zero() {
            self.config.startup_timeout
        } else {
            options.startup_timeout
        }
    }

    /// Waits for those who came before, and lets everybody else who is ready go first: a start blocks its
    /// thread until `exec`, and a thousand that are due at once must not keep a caller waiting.
    async fn turn(&self) {
        // It is never closed.
        let _turn = self.turns.acquire().await;
        tokio::task::yield_now().await;
    }

    fn path(&self, service_name: &str) -> Option<PathBuf> {
        let paths = self.paths.read().unwrap_or_else(PoisonError::into_inner);
        paths.get(service_name).cloned()
    }

    /// The log of a service, shared by all its runs; `None` if output is not captured.
    fn log(&self, service_name: &str) -> Option<Arc<Log>> {
        let folder = self.config.log_dir.as_ref()?;
        let mut logs: MutexGuard<'_, HashMap<_, _>> =
            self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let log = logs
            .entry(service_name.to_owned())
            .or_insert_with(|| Arc::new(Log::new(folder, service_name, Arc::clone(&self.slots))));
        Some(Arc::clone(log))
    }
}
