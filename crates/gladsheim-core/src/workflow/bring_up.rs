//! Starting many services at once.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::{
    BringUpProgress, EventKind, Gladsheim, GladsheimError, Result, StartOverrides,
    actor::command::Command, graph,
};

impl Gladsheim {
    /// Starts all services with `autostart`, or the named ones, with what they depend on.
    ///
    /// One message for each service concerned as it is done, then the end of the channel. Services that
    /// do not wait for each other start at the same time; one that fails does not stop the others.
    /// Dropping the receiver cancels nothing. While the battery is low, services that nobody named and
    /// that can wait for it are left out; they start once it is well again. The first one without names, after
    /// an earlier daemon was cut off, leaves alone what had been stopped by hand or had ended by then.
    /// Once all services of one without names have answered, the bus tells of `hall.ready`.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound` for a name that is not known; nothing is started then.
    pub fn bring_up(&self, names: &[String]) -> Result<mpsc::Receiver<BringUpProgress>> {
        self.ensure_open()?;
        let directory = &self.hall.directory;
        let definitions: Vec<_> = directory
            .names()
            .iter()
            .filter_map(|name| directory.definition(name))
            .collect();
        let mut waiting = directory.battery.waiting();
        let wanted: Vec<String> = if names.is_empty() {
            // What somebody stopped, or what ended by itself, before an earlier daemon was cut off.
            let resting = std::mem::take(&mut *self.resting());
            let mut wanted: Vec<_> = definitions
                .iter()
                .filter(|definition| definition.autostart && !resting.contains(&definition.name))
                .map(|definition| definition.name.clone())
                .collect();
            if let Some(waiting) = &mut *waiting {
                let later = directory.dispensable();
                waiting.extend(wanted.extract_if(.., |name| later.contains(name)));
            }
            wanted
        } else {
            for name in names {
                directory.known(name)?;
            }
            names.to_vec()
        };
        let all: Vec<_> = definitions.iter().map(AsRef::as_ref).collect();
        let concerned = graph::closure(&all, &wanted);
        // Room for every message, so that an actor never waits for whoever reads them.
        let (progress, receiver) = mpsc::channel(concerned.len().max(1));
        let announcement = names
            .is_empty()
            .then(|| Arc::new(Announcement(self.clone())));
        for name in concerned {
            let progress = progress.clone();
            let announcement = announcement.clone();
            let hall = self.clone();
            let service_name = name.clone();
            let reply = Box::new(move |outcome: Result<()>| {
                let result = outcome.and_then(|()| hall.get_service_status(&service_name));
                // Nobody may be interested any more.
                let _ = progress.try_send(BringUpProgress {
                    service_name,
                    result,
                });
                drop(announcement);
            });
            directory.send(
                &name,
                Command::Start {
                    overrides: StartOverrides::default(),
                    join: true,
                    reply,
                },
            );
        }
        Ok(receiver)
    }

    pub(crate) fn ensure_open(&self) -> Result<()> {
        if self.is_closing() {
            return Err(GladsheimError::NotOpen("it is shutting down".to_owned()));
        }
        if !self.was_opened() {
            return Err(GladsheimError::NotOpen("it was not started yet".to_owned()));
        }
        Ok(())
    }
}

/// Says on the bus that the hall is ready, when the last service that holds it has answered.
struct Announcement(Gladsheim);

impl Drop for Announcement {
    fn drop(&mut self) {
        // A hall that closes answers everybody as well.
        if !self.0.is_closing() {
            self.0.hall.bus.publish(EventKind::HallReady);
        }
    }
}
