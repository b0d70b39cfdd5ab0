//! Times and sizes, from the spellings of others into the hall file's.

use std::time::Duration;

/// The hall file's spelling of a duration.
pub(crate) fn duration(duration: Duration) -> String {
    match (duration.as_secs(), duration.subsec_millis()) {
        (seconds, 0) => format!("{seconds}s"),
        (_, _) => format!("{}ms", duration.as_millis()),
    }
}

/// Seconds, possibly with a fraction.
pub(crate) fn seconds(text: &str) -> Option<String> {
    let seconds: f64 = text.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok().map(duration)
}

/// A time span of systemd: `90`, `5min 20s`; none for `infinity` and nonsense.
pub(crate) fn time_span(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    humantime::parse_duration(text).ok()
}

/// A size with a suffix in powers of 1024, such as `512M` or `64KB`; in the hall file's spelling.
pub(crate) fn size(text: &str) -> Option<String> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: u64 = number.parse().ok()?;
    let unit = match unit.trim().to_ascii_uppercase().as_str() {
        "" | "B" => "",
        "K" | "KB" => "KiB",
        "M" | "MB" => "MiB",
        "G" | "GB" => "GiB",
        "T" | "TB" => "TiB",
        _ => return None,
    };
    Some(format!("{number}{unit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans_of_systemd_are_read() {
        for (text, expected) in [
            ("90", Some("90s")),
            ("0.5", Some("500ms")),
            ("5min 20s", Some("320s")),
            ("100ms", Some("100ms")),
            ("1h", Some("3600s")),
            ("infinity", None),
            ("-1", None),
        ] {
            assert_eq!(time_span(text).map(duration).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn sizes_count_in_powers_of_1024() {
        for (text, expected) in [
            ("512M", Some("512MiB")),
            ("50MB", Some("50MiB")),
            ("4096", Some("4096")),
            ("infinity", None),
            ("10%", None),
        ] {
            assert_eq!(size(text).as_deref(), expected, "{text}");
        }
    }
}
