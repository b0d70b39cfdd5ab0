//! Every run, whoever started it, gets its supervisor here.

use std::{sync::Arc, time::SystemTime};

use tokio::sync::{mpsc, watch};

use super::Inner;
use crate::{
    AdoptOptions, ChildProcess, Readiness, ServiceLoaderError, ServiceProcess,
    actor::Supervisor,
    command::{AfterStop, Setting, Spawner},
    identity::Identity,
    keeper::Key,
    main_process::Leader,
    output::Output,
    process::Shared,
    slots::{Reservation, Run},
    watchdog::KeepAlive,
};

impl Inner {
    /// The run of a child and its supervisor, which is to be spawned once the run has its slot.
    pub(super) fn supervisor(
        &self,
        service_name: &str,
        setting: Setting,
        child: Box<dyn ChildProcess>,
        output: Option<Output>,
        start_time: SystemTime,
    ) -> (Run, Supervisor) {
        let setting = Arc::new(setting);
        let options = Arc::clone(&setting.options);
        let (commands, received) = mpsc::unbounded_channel();
        let (ready_told, ready) = watch::channel(false);
        let (exit_told, exit) = watch::channel(None);
        let keep_alive = watch::Sender::new(KeepAlive::default());
        let extended = watch::Sender::new(None);
        let leader = Arc::new(Leader::new(child.pid(), child.leader()));
        let run = Run {
            process: ServiceProcess {
                service_name: service_name.to_owned(),
                pid: child.pid(),
                start_time,
                shared: Arc::new(Shared {
                    leader: Arc::clone(&leader),
                    ready,
                    exit,
                    keep_alive: keep_alive.subscribe(),
                    extended: extended.subscribe(),
                    cgroup: child.cgroup(),
                    mark: child.mark(),
                }),
            },
            setting: Arc::clone(&setting),
            commands,
            ending: Arc::new(watch::Sender::new(false)),
        };
        let notices = options.listens().then(|| {
            let notices = self.notifier.listen(child.pid(), child.cgroup());
            (notices, Arc::clone(&self.notifier))
        });
        let pipes = output.iter().flat_map(Output::descriptors);
        let descriptors = child.pidfd().into_iter().chain(pipes).collect();
        let key = Key::run(service_name, child.pid());
        self.keeper.hold(key, descriptors);
        self.keeper.forget_runs(service_name);
        let supervisor = Supervisor {
            service_name: service_name.to_owned(),
            child,
            leader,
            main: None,
            first_ended: false,
            stop_signal: options.stop_signal,
            commands: received,
            ready: Some(ready_told),
            readiness: options.readiness.clone(),
            ending: Arc::clone(&run.ending),
            exit: exit_told,
            keep_alive,
            notices,
            extended,
            output,
            after_stop: options.post_stop.clone().map(|command| AfterStop {
                setting,
                command,
                limit: self.config.shutdown_timeout,
            }),
            keeper: self.keeper.clone(),
            slots: Arc::clone(&self.slots),
            abandoned: self.abandoned.clone(),
        };
        (run, supervisor)
    }

    /// Goes on with a run of an earlier daemon. What is wrong with anything but its process is no
    /// reason to leave that to itself.
    pub(super) async fn adopt(
        &self,
        service_name: &str,
        options: AdoptOptions,
        reservation: Reservation,
    ) -> Result<Run, ServiceLoaderError> {
        let AdoptOptions {
            identity,
            ready,
            options,
        } = options;
        let spawner = &self.ports.spawner;
        self.open().await;
        let kept = self.keeper.take(&Key::run(service_name, identity.pid));
        let mut kept = kept.unwrap_or_default().into_iter();
        let pidfd = kept.next();
        let child = spawner.adopt(service_name, &identity, pidfd).await?;
        let owner = Identity::resolve(options.user.as_deref(), options.group.as_deref());
        let setting = Setting {
            spawner: Spawner(Arc::clone(spawner)),
            identity: owner.unwrap_or_else(|error| {
                tracing::warn!(service = service_name, %error, "its user is not known any more");
                None
            }),
            log: self.log(service_name),
            options: Arc::new(options),
        };
        let ready = ready || setting.options.readiness == Readiness::Exec;
        if setting.options.listens()
            && let Err(error) = self.notifier.find_address()
        {
            tracing::warn!(service = service_name, %error, "it cannot tell of itself any more");
        }
        let output = setting.resume_output(kept.collect()).unwrap_or_else(|error| {
            tracing::warn!(service = service_name, %error, "its output is not captured any more");
            None
        });
        let start_time = identity.start_time;
        let (run, supervisor) = self.supervisor(service_name, setting, child, output, start_time);
        reservation.fulfil(run.clone());
        if ready {
            supervisor.become_ready();
        }
        self.tasks.spawn(Box::new(supervisor).run());
        Ok(run)
    }
}
