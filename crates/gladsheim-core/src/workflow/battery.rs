//! What happens when the battery runs low, and when it is well again.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use byggvir::BatteryHandler;
use skirnir::Cause;

use crate::{StartOverrides, actor::command::Command, directory::Directory, graph, ports::Orders};

/// What a low battery keeps from running.
#[derive(Debug, Default)]
pub(crate) struct Battery {
    /// While it is low, the services that come back afterwards. Held while a bring-up sends its starts,
    /// so that each of them either sees the low battery or is stopped because of it.
    waiting: Mutex<Option<BTreeSet<String>>>,
    /// One edge after the other: what has just been stopped must have ended before it is brought back.
    /// An async lock, because a stop takes as long as the service wants.
    turn: tokio::sync::Mutex<()>,
}

/// The services that wait for the battery, while it is low.
pub(crate) type Waiting<'a> = MutexGuard<'a, Option<BTreeSet<String>>>;

impl Battery {
    pub(crate) fn waiting(&self) -> Waiting<'_> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Directory {
    /// The services that a low battery stops: neither essential themselves, nor needed by one that is.
    pub(crate) fn dispensable(&self) -> BTreeSet<String> {
        let definitions: Vec<_> = self
            .names()
            .iter()
            .filter_map(|name| self.definition(name))
            .collect();
        let all: Vec<_> = definitions.iter().map(AsRef::as_ref).collect();
        let essential: Vec<String> = all
            .iter()
            .filter(|definition| definition.essential)
            .map(|definition| definition.name.clone())
            .collect();
        let kept = graph::closure(&all, &essential);
        let names = all.iter().map(|definition| definition.name.clone());
        names.filter(|name| !kept.contains(name)).collect()
    }

    /// Whether a service waits to be started by somebody; not so if it runs, or a person has stopped it.
    fn may_come_back(&self, name: &str) -> bool {
        let by_hand = |end: &crate::actor::facts::End| end.cause == Cause::User;
        self.facts(name).is_some_and(|facts| {
            facts.read(|facts| !facts.active && !facts.last_end.as_ref().is_some_and(by_hand))
        })
    }
}

#[async_trait]
impl BatteryHandler for Orders {
    async fn low(&self, percent: u8) {
        let battery = &self.directory.battery;
        let _turn = battery.turn.lock().await;
        battery.waiting().get_or_insert_default();
        let names = self.directory.dispensable().into_iter().collect();
        let stopped = self.stop_in_order(names, Cause::Battery).await;
        tracing::info!(percent, services = stopped.len(), "stopped for the battery");
        if let Some(waiting) = &mut *battery.waiting() {
            waiting.extend(stopped);
        }
    }

    async fn ok(&self, percent: u8) {
        let battery = &self.directory.battery;
        let _turn = battery.turn.lock().await;
        let mut back = battery.waiting().take().unwrap_or_default();
        back.retain(|name| self.directory.may_come_back(name));
        tracing::info!(
            percent,
            services = back.len(),
            "started again after a low battery"
        );
        for name in back {
            let failed = name.clone();
            let start = Command::Start {
                overrides: StartOverrides::default(),
                join: true,
                reply: Box::new(move |outcome| {
                    if let Err(error) = outcome {
                        tracing::warn!(service = %failed, %error, "not brought back");
                    }
                }),
            };
            self.directory.send(&name, start);
        }
    }
}
