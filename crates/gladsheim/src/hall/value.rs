//! Texts with a meaning: durations, sizes, file modes, addresses. Pure; an error is the end of a sentence
//! that began with the key's name.

use std::{net::SocketAddr, time::Duration};

/// No duration in a hall file is longer: a year. Keeps sums with points in time from overflowing.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

const DURATION_FORM: &str = "a duration such as \"500ms\", \"5s\" or \"1m30s\"";
const SIZE_FORM: &str = "a size such as 1048576, \"64KiB\" or \"256MiB\"";

/// Reads `500ms`, `5s`, `2m`, `1h`, and several of them in a row.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let malformed = || format!("expected {DURATION_FORM}, found {text:?}");
    let too_long = || format!("{text:?} is longer than a year");
    let mut total = Duration::ZERO;
    let mut rest = text;
    loop {
        let (number, tail) = split_number(rest).ok_or_else(malformed)?;
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let millis_per_unit = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(malformed()),
        };
        total = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(millis_per_unit))
            .and_then(|millis| total.checked_add(Duration::from_millis(millis)))
            .filter(|total| *total <= LONGEST)
            .ok_or_else(too_long)?;
        if tail.is_empty() {
            return Ok(total);
        }
        rest = tail;
    }
}

/// Reads `64KiB`, `256MiB`, `1GiB`, or a bare number of bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let malformed = || format!("expected {SIZE_FORM}, found {text:?}");
    let (number, unit) = split_number(text).ok_or_else(malformed)?;
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        "K" | "k" | "M" | "G" | "T" | "KB" | "kB" | "MB" | "GB" | "TB" => {
            return Err(format!(
                "{text:?} could be read in two ways: the units are KiB, MiB, GiB and TiB"
            ));
        }
        _ => return Err(malformed()),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| format!("{text:?} is more than a machine can have"))
}

/// Splits off the digits at the start; `None` if there are none.
fn split_number(text: &str) -> Option<(&str, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// Reads a file mode creation mask, for example `022`.
pub(super) fn umask(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mask| *mask <= 0o777 && !text.starts_with('+'))
        .ok_or_else(|| format!("expected an octal mask from \"000\" to \"777\", found {text:?}"))
}

/// Reads a SHA-256 in hexadecimal; lower case is given back.
pub(super) fn sha256(text: &str) -> Result<String, String> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("expected a SHA-256: 64 hexadecimal digits".to_owned())
    }
}

/// Reads `HOST:PORT`; an IPv6 address stands in brackets.
pub(super) fn host_port(text: &str) -> Result<&str, String> {
    let (host, port) = text.rsplit_once(':').unwrap_or_default();
    let host_fits = match host.strip_prefix('[') {
        Some(_) => text.parse::<SocketAddr>().is_ok(),
        None => is_host_name(host),
    };
    if host_fits && is_port(port) {
        Ok(text)
    } else {
        Err(format!(
            "expected an address such as \"127.0.0.1:8081\", found {text:?}"
        ))
    }
}

fn is_host_name(host: &str) -> bool {
    !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Reads `http://HOST:PORT/PATH`.
pub(super) fn http_url(text: &str) -> Result<&str, String> {
    if text.starts_with("https://") {
        return Err("https is not checked; use http on the loopback address".to_owned());
    }
    let fits = text.parse::<hyper::Uri>().is_ok_and(|uri| {
        uri.scheme_str() == Some("http")
            && uri.authority().is_some_and(|authority| {
                let host_port = match authority.port() {
                    Some(_) => authority.to_string(),
                    None => format!("{authority}:80"),
                };
                self::host_port(&host_port).is_ok()
            })
    });
    fits.then_some(text).ok_or_else(|| {
        format!("expected a URL such as \"http://127.0.0.1:8081/health\", found {text:?}")
    })
}

/// Reads a loopback address with its port.
pub(super) fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| format!("expected an address such as \"127.0.0.1:9100\", found {text:?}"))?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err(format!(
            "{} is no loopback address, and nobody who asks there is asked who they are",
            address.ip()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Option<u128> {
        duration(text).ok().map(|duration| duration.as_millis())
    }

    #[test]
    fn durations_are_read() {
        for (text, expected) in [
            ("500ms", Some(500)),
            ("0s", Some(0)),
            ("5s", Some(5_000)),
            ("2m", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("1m30s", Some(90_000)),
            ("1h2m3s4ms", Some(3_723_004)),
            ("8760h", Some(31_536_000_000)),
            ("8761h", None),
            ("99999999999999999999h", None),
            ("18446744073709551615s", None),
            ("", None),
            ("5", None),
            ("s", None),
            ("-5s", None),
            ("+5s", None),
            ("1.5s", None),
            ("5 s", None),
            ("5s ", None),
            ("5S", None),
            ("5days", None),
            ("1m30", None),
            ("٣s", None),
        ] {
            assert_eq!(millis(text), expected, "{text}");
        }
    }

    #[test]
    fn sizes_are_read() {
        for (text, expected) in [
            ("0", Some(0)),
            ("512", Some(512)),
            ("512B", Some(512)),
            ("64KiB", Some(65_536)),
            ("256MiB", Some(268_435_456)),
            ("1GiB", Some(1 << 30)),
            ("2TiB", Some(2 << 40)),
            ("16777216TiB", None),
            ("10MB", None),
            ("10k", None),
            ("MiB", None),
            ("-1MiB", None),
            ("1.5GiB", None),
            ("1 GiB", None),
            ("", None),
        ] {
            assert_eq!(size(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn masks_are_octal() {
        for (text, expected) in [
            ("022", Some(0o22)),
            ("0", Some(0)),
            ("0777", Some(0o777)),
            ("1000", None),
            ("028", None),
            ("+22", None),
            ("-22", None),
            ("", None),
        ] {
            assert_eq!(umask(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn addresses_are_read() {
        for good in ["127.0.0.1:80", "localhost:1", "[::1]:65535", "a-b.c_d:8080"] {
            assert!(host_port(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            ":",
            "80",
            "localhost",
            "localhost:",
            ":80",
            "::1:80",
            "[::1]",
            "[x]:80",
            "a:0",
            "a:65536",
            "a:+80",
            "a b:80",
            "http://a:80",
            "a:80/",
        ] {
            assert!(host_port(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn urls_are_read() {
        for good in [
            "http://127.0.0.1:8081/health",
            "http://localhost",
            "http://[::1]:80/a?b=c",
        ] {
            assert!(http_url(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "127.0.0.1:80",
            "/health",
            "http://",
            "http://:80/",
            "http://a:x/",
            "http://a:0/",
            "https://a/",
            "ftp://a/",
            "http://a b/",
            "http://u@a/",
            "http://a:99999/",
        ] {
            assert!(http_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn metrics_stay_on_the_machine() {
        for (text, fits) in [
            ("127.0.0.1:9100", true),
            ("[::1]:9100", true),
            ("0.0.0.0:9100", false),
            ("192.168.0.1:9100", false),
            ("localhost:9100", false),
            ("9100", false),
        ] {
            assert_eq!(loopback(text).is_ok(), fits, "{text}");
        }
    }
}
