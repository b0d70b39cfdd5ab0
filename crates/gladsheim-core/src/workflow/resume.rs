//! Going on where an earlier daemon of the hall was cut off.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use thjalfi::{AdoptOptions, ServiceProcess, StartOptions};

use crate::{
    Gladsheim, GladsheimError, Result, ServiceDefinition,
    actor::remember::Past,
    journal::{
        format::{Memory, Record},
        record::{Resumption, ServiceRecord},
    },
};

impl Gladsheim {
    /// Opens the journal and takes over what still runs; returns what is known of each service.
    pub(crate) async fn resume(
        &self,
        state_dir: &Path,
        services: &[ServiceDefinition],
    ) -> Result<HashMap<String, Past>> {
        let memory = self.hall.journal.open(state_dir).map_err(|error| {
            GladsheimError::Journal(format!("{}: {error}", state_dir.display()))
        })?;
        let Memory {
            services: mut records,
            ..
        } = memory;
        let mut past = HashMap::new();
        for service in services {
            if let Some(record) = records.remove(&service.name) {
                let resumption = record.resumption();
                let process = match resumption {
                    Resumption::Adopt => self.adopt(&record, &service.start).await,
                    Resumption::Fresh | Resumption::Start | Resumption::Rest => None,
                };
                let resumption = match (resumption, &process) {
                    // There is no telling what became of it: what is left of it is killed.
                    (Resumption::Adopt, None) => Resumption::Start,
                    (resumption, _) => resumption,
                };
                past.insert(
                    service.name.clone(),
                    Past {
                        record,
                        resumption,
                        process,
                    },
                );
            }
        }
        // What is left is not in the configuration any more.
        for (name, record) in records {
            match self.adopt(&record, &StartOptions::default()).await {
                Some(process) => self.stop_stranger(process),
                None => self.hall.journal.write(Record::Gone(name)),
            }
        }
        if let Err(error) = self.thjalfi.end_leftovers().await {
            tracing::warn!(%error, "what an earlier daemon has left running may still run");
        }
        Ok(past)
    }

    async fn adopt(
        &self,
        record: &ServiceRecord,
        options: &StartOptions,
    ) -> Option<ServiceProcess> {
        let run = record.run.as_ref()?;
        let options = AdoptOptions {
            identity: run.identity(),
            ready: run.ready,
            options: options.clone(),
        };
        let adopted = self.thjalfi.adopt_service(&record.service, options).await;
        adopted
            .inspect_err(|error| {
                tracing::warn!(service = record.service, %error, "not taken over");
            })
            .ok()
    }

    /// Stops, in good order, what was removed from the configuration while no daemon lived.
    fn stop_stranger(&self, process: ServiceProcess) {
        let hall = self.clone();
        self.spawn(async move {
            let name = &process.service_name;
            tracing::info!(service = %name, "it is not in the hall any more: stopped");
            let patience = hall.config.loader.shutdown_timeout;
            match hall.thjalfi.stop_service(name, patience).await {
                // It had ended already, or has now.
                Ok(()) | Err(thjalfi::ServiceLoaderError::NotRunning(_)) => {
                    hall.hall.journal.write(Record::Gone(name.clone()));
                }
                Err(error) => tracing::warn!(service = %name, %error, "not stopped"),
            }
        });
    }
}

/// The services that are to stay as they are in the first bring-up.
pub(crate) fn resting(past: &HashMap<String, Past>) -> HashSet<String> {
    past.iter()
        .filter(|(_, past)| past.resumption == Resumption::Rest)
        .map(|(name, _)| name.clone())
        .collect()
}
