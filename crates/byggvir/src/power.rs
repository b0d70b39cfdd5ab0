//! The battery port, and the kernel's power supply class behind it.

use std::{fs, io, path::PathBuf};

use crate::BatteryReading;

/// Where the battery level comes from.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
pub trait BatterySource: Send + Sync + 'static {
    /// What the batteries say now; `None` where there is none.
    ///
    /// # Errors
    ///
    /// The source exists and cannot be read. A machine without battery is no error.
    fn read(&self) -> io::Result<Option<BatteryReading>>;
}

/// Batteries as Linux shows them in `/sys/class/power_supply`.
///
/// Several batteries count by the mean of their levels. Batteries of peripherals (`scope` is
/// `Device`: a mouse, a pen) do not count.
#[derive(Debug, Clone)]
pub struct PowerSupplyClass {
    root: PathBuf,
}

impl PowerSupplyClass {
    /// Reads below `root` instead of `/sys/class/power_supply`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }
}

impl Default for PowerSupplyClass {
    fn default() -> Self {
        Self::at("/sys/class/power_supply")
    }
}

impl BatterySource for PowerSupplyClass {
    fn read(&self) -> io::Result<Option<BatteryReading>> {
        let supplies = match fs::read_dir(&self.root) {
            Ok(supplies) => supplies,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut levels: Vec<u32> = Vec::new();
        let mut discharging = false;
        let mut mains = false;
        for supply in supplies {
            let folder = supply?.path();
            // A supply may go, or lack an attribute, at any moment: what cannot be read says nothing.
            let attribute = |name: &str| {
                let text = fs::read_to_string(folder.join(name)).unwrap_or_default();
                text.trim().to_owned()
            };
            if attribute("type") != "Battery" {
                mains |= attribute("online") == "1";
            } else if attribute("scope") != "Device"
                && let Ok(percent) = attribute("capacity").parse::<u32>()
            {
                levels.push(percent.min(100));
                discharging |= attribute("status") == "Discharging";
            }
        }
        let Some(mean) = levels.iter().sum::<u32>().checked_div(levels.len() as u32) else {
            return Ok(None);
        };
        Ok(Some(BatteryReading {
            percent: mean as u8,
            discharging: discharging && !mains,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn supply(root: &Path, name: &str, attributes: &[(&str, &str)]) {
        let folder = root.join(name);
        fs::create_dir_all(&folder).expect("is made");
        for (attribute, text) in attributes {
            fs::write(folder.join(attribute), format!("{text}\n")).expect("is written");
        }
    }

    fn read(root: &Path) -> Option<BatteryReading> {
        PowerSupplyClass::at(root).read().expect("is read")
    }

    #[test]
    fn machine_without_battery_is_no_error() {
        let root = tempfile::tempdir().expect("is made");
        assert_eq!(read(root.path()), None);
        assert_eq!(read(&root.path().join("missing")), None);
        supply(root.path(), "AC", &[("type", "Mains"), ("online", "1")]);
        let mouse = [("type", "Battery"), ("scope", "Device"), ("capacity", "4")];
        supply(root.path(), "mouse", &mouse);
        assert_eq!(read(root.path()), None);
    }

    #[test]
    fn level_and_mains_are_read() {
        let root = tempfile::tempdir().expect("is made");
        let battery = [
            ("type", "Battery"),
            ("capacity", "42"),
            ("status", "Discharging"),
        ];
        supply(root.path(), "BAT0", &battery);
        assert_eq!(
            read(root.path()),
            Some(BatteryReading {
                percent: 42,
                discharging: true
            })
        );
        // A weak charger: the level falls although the mains are there.
        supply(root.path(), "AC", &[("type", "Mains"), ("online", "1")]);
        assert_eq!(
            read(root.path()),
            Some(BatteryReading {
                percent: 42,
                discharging: false
            })
        );
    }

    #[test]
    fn two_batteries_count_by_their_mean() {
        let root = tempfile::tempdir().expect("is made");
        let status = ("status", "Discharging");
        supply(
            root.path(),
            "BAT0",
            &[("type", "Battery"), ("capacity", "10"), status],
        );
        supply(
            root.path(),
            "BAT1",
            &[("type", "Battery"), ("capacity", "90")],
        );
        assert_eq!(
            read(root.path()),
            Some(BatteryReading {
                percent: 50,
                discharging: true
            })
        );
    }
}
