//! The daemon's own log tells what the bus tells.

use gladsheim_core::{Event, EventKind, ServiceEvent, Subscription};
use tokio_util::sync::CancellationToken;
use tracing::Level;

use super::convert;

/// Logs every event until `stopped` is cancelled, those that came before it included.
pub(super) async fn run(mut events: Subscription, stopped: CancellationToken) {
    while let Some(Some(event)) = stopped.run_until_cancelled(events.next()).await {
        log(&event);
    }
    while let Some(event) = events.try_next() {
        log(&event);
    }
}

fn log(event: &Event) {
    let service = event.kind.service_name();
    let message = convert::event(event);
    let (cause, kind, text) = (message.cause, message.kind, message.message);
    if level(&event.kind) == Level::WARN {
        tracing::warn!(service, cause, "{kind} {text}");
    } else {
        tracing::info!(service, cause, "{kind} {text}");
    }
}

/// A warning is what somebody may have to do something about.
fn level(kind: &EventKind) -> Level {
    let warns = match kind {
        EventKind::Service { event, .. } => match event {
            ServiceEvent::Crashed { .. }
            | ServiceEvent::Failed { .. }
            | ServiceEvent::LimitWarning(_)
            | ServiceEvent::LimitExceeded(_)
            | ServiceEvent::OomKilled { .. }
            | ServiceEvent::PressureWarning(_)
            | ServiceEvent::RestartPostponed { .. }
            | ServiceEvent::AuthRefused { .. }
            | ServiceEvent::OutputDropped { .. } => true,
            ServiceEvent::HealthChanged(change) => change.new_status.is_failing(),
            _ => false,
        },
        EventKind::BatteryLow { .. }
        | EventKind::PressureWarning(_)
        | EventKind::HallGap { .. } => true,
        _ => false,
    };
    if warns { Level::WARN } else { Level::INFO }
}
