//! The battery as pure policy: when it is low, and when it is well again.

/// What a machine's batteries say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatteryReading {
    /// Level in percent, 0 to 100.
    pub percent: u8,
    /// Whether the machine lives on it: discharging, with no mains supply on line.
    pub discharging: bool,
}

/// Percentage points above the threshold at which a low battery counts as well again, so that a
/// level that wavers around the threshold does not stop and start services.
const MARGIN: u8 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BatteryEdge {
    /// Below the threshold, and discharging.
    Low { percent: u8 },
    /// Charging, or well above the threshold, or taken out.
    Ok { percent: u8 },
}

/// Remembers whether the battery was low, and at which level it was seen last.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BatteryWatch {
    low: bool,
    percent: u8,
}

impl BatteryWatch {
    pub(crate) fn step(
        &mut self,
        reading: Option<BatteryReading>,
        threshold: u8,
    ) -> Option<BatteryEdge> {
        self.percent = reading.map_or(self.percent, |reading| reading.percent);
        let percent = self.percent;
        let release = threshold.saturating_add(MARGIN).min(100);
        let drained = |reading: BatteryReading, below| reading.discharging && percent < below;
        let was_low = self.low;
        self.low = reading
            .is_some_and(|reading| drained(reading, if was_low { release } else { threshold }));
        match (was_low, self.low) {
            (false, true) => Some(BatteryEdge::Low { percent }),
            (true, false) => Some(BatteryEdge::Ok { percent }),
            (false, false) | (true, true) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn on_battery(percent: u8) -> Option<BatteryReading> {
        Some(BatteryReading {
            percent,
            discharging: true,
        })
    }

    fn on_mains(percent: u8) -> Option<BatteryReading> {
        Some(BatteryReading {
            percent,
            discharging: false,
        })
    }

    #[test]
    fn low_battery_is_told_once_and_ends_above_the_margin() {
        let mut watch = BatteryWatch::default();
        let told: Vec<_> = [16, 15, 14, 13, 15, 19, 20, 14]
            .into_iter()
            .map(|percent| watch.step(on_battery(percent), 15))
            .collect();
        assert_eq!(
            told,
            [
                None,
                None,
                Some(BatteryEdge::Low { percent: 14 }),
                None,
                None,
                None,
                Some(BatteryEdge::Ok { percent: 20 }),
                Some(BatteryEdge::Low { percent: 14 }),
            ]
        );
    }

    #[test]
    fn mains_end_a_low_battery_at_any_level() {
        let mut watch = BatteryWatch::default();
        assert_eq!(watch.step(on_mains(3), 15), None);
        assert_eq!(
            watch.step(on_battery(3), 15),
            Some(BatteryEdge::Low { percent: 3 })
        );
        assert_eq!(
            watch.step(on_mains(3), 15),
            Some(BatteryEdge::Ok { percent: 3 })
        );
    }

    #[test]
    fn battery_taken_out_is_no_longer_low() {
        let mut watch = BatteryWatch::default();
        assert_eq!(watch.step(None, 15), None);
        assert_eq!(
            watch.step(on_battery(3), 15),
            Some(BatteryEdge::Low { percent: 3 })
        );
        assert_eq!(watch.step(None, 15), Some(BatteryEdge::Ok { percent: 3 }));
    }

    proptest! {
        #[test]
        fn edges_alternate_and_low_is_always_true(
            threshold in 0u8..=100,
            readings in prop::collection::vec(prop::option::of((0u8..=100, any::<bool>())), 0..50),
        ) {
            let mut watch = BatteryWatch::default();
            let mut low = false;
            for reading in readings {
                let reading = reading
                    .map(|(percent, discharging)| BatteryReading { percent, discharging });
                match watch.step(reading, threshold) {
                    Some(BatteryEdge::Low { percent }) => {
                        prop_assert!(!low && percent < threshold);
                        prop_assert_eq!(reading, on_battery(percent));
                        low = true;
                    }
                    Some(BatteryEdge::Ok { .. }) => {
                        prop_assert!(low);
                        low = false;
                    }
                    None => {}
                }
            }
        }
    }
}
