//! The sampling task: rounds at the configured pace, and the battery at its own.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{BatteryReading, battery::BatteryWatch, manager::Inner};

/// Time between two looks at the battery, which may cost the firmware milliseconds: at most this,
const BATTERY_PACE: Duration = Duration::from_secs(30);
/// and at most that many sampling intervals.
const BATTERY_ROUNDS: u32 = 30;
/// How much longer the sampling interval is while the machine lives on its battery.
const STRETCH_ON_BATTERY: u32 = 4;

pub(crate) struct Sampler {
    inner: Weak<Inner>,
    stopped: CancellationToken,
    battery: BatteryWatch,
    next_battery_look: Instant,
    on_battery: bool,
}

impl Sampler {
    pub(crate) fn new(inner: &Arc<Inner>, stopped: CancellationToken) -> Self {
        Self {
            inner: Arc::downgrade(inner),
            stopped,
            battery: BatteryWatch::default(),
            next_battery_look: Instant::now(),
            on_battery: false,
        }
    }

    /// Runs until it is stopped or the last handle is dropped. A round that has begun is finished.
    pub(crate) async fn run(mut self) {
        while let Some(inner) = self.inner.upgrade() {
            let config = &inner.config;
            let interval = config.monitoring_interval;
            let threshold = config.stop_services_below_battery_percent;
            let now = Instant::now();
            let look = inner.minds_battery() && now >= self.next_battery_look;
            // Reading counters blocks for some milliseconds where there are very many services.
            let round = tokio::task::spawn_blocking(move || {
                inner.meter.round(&inner.teller);
                look.then(|| (inner.battery.read(), inner))
            });
            match round.await {
                Ok(Some((reading, inner))) => {
                    self.next_battery_look =
                        now + BATTERY_PACE.min(interval.saturating_mul(BATTERY_ROUNDS));
                    match reading {
                        Ok(reading) => self.take_in(reading, threshold, &inner),
                        Err(error) => tracing::warn!(%error, "the battery cannot be read"),
                    }
                }
                Ok(None) => {}
                Err(error) if error.is_panic() => {
                    tracing::error!(%error, "a sampling round panicked");
                }
                // The runtime shuts down.
                Err(_) => return,
            }
            let stretch = if self.on_battery {
                STRETCH_ON_BATTERY
            } else {
                1
            };
            tokio::select! {
                biased;
                () = self.stopped.cancelled() => return,
                () = sleep(interval.saturating_mul(stretch)) => {}
            }
        }
    }

    fn take_in(&mut self, reading: Option<BatteryReading>, threshold: u8, inner: &Inner) {
        self.on_battery = reading.is_some_and(|reading| reading.discharging);
        if let Some(edge) = self.battery.step(reading, threshold) {
            inner.teller.tell_battery(edge);
        }
    }
}

#[cfg(test)]
#[path = "sampler_test.rs"]
mod tests;
