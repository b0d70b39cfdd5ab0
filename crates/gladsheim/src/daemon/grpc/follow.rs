//! Streams that follow the bus and health. Pulled by the client: one that stalls makes nobody wait.

use futures_util::stream::unfold;
use gladsheim_core::{Subscription, roskva};
use gladsheim_proto::v1::{Event, ServiceHealth, WatchEventsRequest};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio_util::sync::CancellationToken;

use super::Messages;
use crate::daemon::convert;

/// Events as the request asks for them. Ends with the last one before `stopped` at the latest.
pub(super) fn events(
    subscription: Subscription,
    request: WatchEventsRequest,
    stopped: CancellationToken,
) -> Messages<Event> {
    let state = (subscription, request, stopped);
    Box::pin(unfold(
        state,
        |(mut subscription, request, stopped)| async {
            loop {
                let next = if request.follow {
                    tokio::select! {
                        biased;
                        next = subscription.next() => next,
                        () = stopped.cancelled() => None,
                    }
                } else {
                    subscription.try_next()
                };
                let event = next?;
                let name = event.kind.service_name();
                // A gap is told to everybody: what was missed may have been about this service.
                if request.service_name.is_empty()
                    || name.is_none_or(|name| name == request.service_name)
                {
                    let message = convert::event(&event);
                    return Some((Ok(message), (subscription, request, stopped)));
                }
            }
        },
    ))
}

/// The present health, then that of each check. Ends when `stopped` is cancelled or nothing can follow.
pub(super) fn health(
    present: roskva::ServiceHealth,
    updates: Receiver<roskva::ServiceHealth>,
    stopped: CancellationToken,
) -> Messages<ServiceHealth> {
    let state = (Some(present), updates, stopped);
    Box::pin(unfold(state, |(present, mut updates, stopped)| async {
        let health = match present {
            Some(present) => present,
            None => loop {
                let update = tokio::select! {
                    biased;
                    () = stopped.cancelled() => return None,
                    update = updates.recv() => update,
                };
                match update {
                    Ok(health) => break health,
                    // Each update is whole: those that were missed are past.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            },
        };
        Some((Ok(convert::health(health)), (None, updates, stopped)))
    }))
}
