//! Skirnir, the service registry: knows who runs, in which state, since when and why.
//!
//! # Theory of operation
//!
//! The registry only remembers; it starts, polls and waits for nothing. A service's entry is an
//! immutable [`ServiceMetadata`] behind an `Arc`. A writer works out the next one aside, then swaps the
//! pointer.
//!
//! **Reads never wait for a busy writer.** Writers line up at a lock of their own, which no reader
//! takes. What readers share with them is a sorted map of slots, locked for writing only to insert or remove
//! a name, and one slot per service, locked only while a pointer is copied. One map rather than shards,
//! because a sorted listing then needs no sorting, and since every service has a slot of its own, a
//! change to one does not touch the map. One line of writers rather than one per service, because the
//! order of changes is then simply the order in which they happened, for `seq`, for
//! the revision and for every listener.
//!
//! **Legal histories.** [`ServiceState`] has the one transition table. A change that it does not allow is an
//! error and changes nothing. The last 32 changes of each service are kept.
//!
//! **Told after the fact.** When a listener, a subscriber or a watch hears of a change, the registry
//! shows it already. Three ways to follow:
//!
//! | way | for | a slow one |
//! | --- | --- | --- |
//! | [`on_state_change`](ServiceRegistry::on_state_change) | a short reaction, in the thread of a writer, no lock held | delays other listeners; must not block |
//! | [`subscribe`](ServiceRegistry::subscribe) | changes of state, as a stream | sees `Lagged` |
//! | [`watch_from`](ServiceRegistry::watch_from) | a complete copy: snapshot, then every change; resumes | gets a new snapshot |
//!
//! Depend on [`ServiceRegistryApi`]; construct [`ServiceRegistry`].

pub use gladsheim_types::{Cause, ResourceUsage, ServiceHealth};

pub use crate::{
    api::{ServiceRegistryApi, ServiceRegistryExt, StateListener},
    error::ServiceRegistryError,
    event::{RunEnd, StateChange, Transition},
    filter::ServiceFilter,
    metadata::{ServiceMetadata, ServiceStatistics},
    registry::ServiceRegistry,
    state::ServiceState,
    watch::{RegistryChange, RegistryChangeKind, RegistryWatch, WatchEvent},
};

// The model shares the follower of the crate tests, which calls this crate by its name.
#[cfg(test)]
extern crate self as skirnir;

mod api;
mod change;
mod delegate;
mod entry;
mod error;
mod event;
mod filter;
mod metadata;
#[cfg(test)]
mod model;
mod outbox;
mod registry;
mod state;
mod sync;
mod watch;

/// Generated mocks of this crate's traits, for the tests of dependent crates.
#[cfg(any(test, feature = "mock"))]
pub mod mock {
    pub use crate::api::MockServiceRegistryApi;
}

/// The README's examples, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
