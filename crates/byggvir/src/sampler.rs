//! The sampling task: rounds at the configured pace, and the battery at its own.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{BatteryReading, battery::BatteryWatch, manager::Inner};

/// Time between two looks at the battery, which may cost the firmware milliseconds: at most this,
const BATTERY_PACE: Duration = Duration::from_secs(30);
/// and at most that many sampling intervals.
const BATTERY_ROUNDS: u32 = 30;
/// Time between two looks at pressure: the kernel renews what it tells every 2 s.
const PRESSURE_PACE: Duration = Duration::from_secs(2);
/// How much longer the sampling interval is while the machine lives on its battery. Wake-ups cost more than
/// what is done in them, and with four times fewer a limit is still seen within seconds.
pub const STRETCH_ON_BATTERY: u32 = 4;

pub(crate) struct Sampler {
    inner: Weak<Inner>,
    stopped: CancellationToken,
    battery: BatteryWatch,
    next_battery_look: Instant,
    next_pressure_look: Instant,
}

impl Sampler {
    pub(crate) fn new(inner: &Arc<Inner>, stopped: CancellationToken) -> Self {
        let now = Instant::now();
        Self {
            inner: Arc::downgrade(inner),
            stopped,
            battery: BatteryWatch::default(),
            next_battery_look: now,
            next_pressure_look: now,
        }
    }

    /// Runs until it is stopped or the last handle is dropped. A round that has begun is finished.
    pub(crate) async fn run(mut self) {
        while let Some(inner) = self.inner.upgrade() {
            let interval = inner.config.monitoring_interval;
            let threshold = inner.config.stop_services_below_battery_percent;
            let now = Instant::now();
            let battery = inner.minds_battery() && now >= self.next_battery_look;
            let pressure = inner.samples() && now >= self.next_pressure_look;
            if pressure {
                self.next_pressure_look = now + PRESSURE_PACE;
            }
            // Reading counters blocks for some milliseconds where there are very many services.
            let round = tokio::task::spawn_blocking(move || {
                if inner.samples() {
                    inner.meter.round(&inner.teller);
                    inner.look_at_oom_kills();
                }
                if pressure {
                    inner.look_at_pressure();
                }
                (battery.then(|| inner.battery.read()), inner)
            });
            let mut pause = interval;
            match round.await {
                Ok((reading, inner)) => {
                    if let Some(reading) = reading {
                        self.next_battery_look = now + battery_pace(interval);
                        match reading {
                            Ok(reading) => self.take_in(reading, threshold, &inner),
                            Err(error) => tracing::warn!(%error, "the battery cannot be read"),
                        }
                    }
                    if inner.on_battery.load(Ordering::Relaxed) {
                        pause = interval.saturating_mul(STRETCH_ON_BATTERY);
                    }
                }
                Err(error) if error.is_panic() => {
                    tracing::error!(%error, "a sampling round panicked");
                }
                // The runtime shuts down.
                Err(_) => return,
            }
            if interval.is_zero() {
                pause = battery_pace(interval);
            }
            tokio::select! {
                biased;
                () = self.stopped.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    fn take_in(&mut self, reading: Option<BatteryReading>, threshold: u8, inner: &Inner) {
        let discharging = reading.is_some_and(|reading| reading.discharging);
        inner.on_battery.store(discharging, Ordering::Relaxed);
        if let Some(edge) = self.battery.step(reading, threshold) {
            inner.teller.tell_battery(edge);
        }
    }
}

/// Time between two looks at the battery.
fn battery_pace(interval: Duration) -> Duration {
    if interval.is_zero() {
        BATTERY_PACE
    } else {
        BATTERY_PACE.min(interval.saturating_mul(BATTERY_ROUNDS))
    }
}

#[cfg(test)]
#[path = "sampler_test.rs"]
mod tests;
