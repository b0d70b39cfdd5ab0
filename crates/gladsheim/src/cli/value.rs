//! Values on the command line: durations, sizes, percentages and pairs, written as in the hall file.

use std::time::Duration;

use crate::daemon::telemetry::{LevelError, Levels};

/// A value that cannot be read, and how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ValueError {
    #[error("a duration is a number and a unit, like 500ms, 5s, 2m or 1h")]
    Duration,
    #[error("a size is a number of bytes, or of KiB, MiB or GiB, like 256MiB")]
    Size,
    #[error("a percentage is a number from 0 to 100")]
    Percent,
    #[error("a pair is written KEY=VALUE")]
    Pair,
}

/// `500ms`, `5s`, `2m`, `1h`; fractions too.
pub(crate) fn duration(text: &str) -> Result<Duration, ValueError> {
    let (number, unit) = split(text);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(ValueError::Duration),
    };
    let number: f64 = number.parse().map_err(|_| ValueError::Duration)?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| ValueError::Duration)
}

/// Bytes: `4096`, `64KiB`, `256MiB`, `1GiB`.
pub(crate) fn size(text: &str) -> Result<u64, ValueError> {
    let (number, unit) = split(text);
    let bytes = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(ValueError::Size),
    };
    number
        .parse()
        .ok()
        .and_then(|number: u64| number.checked_mul(bytes))
        .ok_or(ValueError::Size)
}

/// 0 to 100.
pub(crate) fn percent(text: &str) -> Result<f32, ValueError> {
    match text.parse() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        Ok(_) | Err(_) => Err(ValueError::Percent),
    }
}

/// Levels of the daemon's log, as they are written.
pub(crate) fn levels(text: &str) -> Result<String, LevelError> {
    text.parse::<Levels>().map(|levels| levels.to_string())
}

/// `KEY=VALUE`; the value may be empty and may have more equals signs.
pub(crate) fn pair(text: &str) -> Result<(String, String), ValueError> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err(ValueError::Pair),
    }
}

/// Number and unit.
fn split(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_the_hall_file() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        for wrong in ["", "5", "s", "-1s", "5 parsecs", "1e999s", "1.2.3s"] {
            assert_eq!(duration(wrong), Err(ValueError::Duration), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_written_as_in_the_hall_file() {
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("256MiB"), Ok(256 << 20));
        for wrong in ["", "MiB", "-1", "1.5GiB", "1mb", "99999999999GiB"] {
            assert_eq!(size(wrong), Err(ValueError::Size), "{wrong}");
        }
    }

    #[test]
    fn percentages_are_between_0_and_100() {
        assert_eq!(percent("12.5"), Ok(12.5));
        for wrong in ["", "-1", "101", "NaN", "many"] {
            assert_eq!(percent(wrong), Err(ValueError::Percent), "{wrong}");
        }
    }

    #[test]
    fn a_pair_splits_at_its_first_equals_sign() {
        assert_eq!(pair("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert_eq!(pair("A="), Ok(("A".into(), String::new())));
        for wrong in ["A", "=b", ""] {
            assert_eq!(pair(wrong), Err(ValueError::Pair), "{wrong}");
        }
    }
}
