//! `readiness_probe` and `liveness_probe`.

use super::{Node, command, place, seconds_of};
use crate::import::draft::Draft;

/// Sets the keys of one check.
pub(super) fn read(draft: &mut Draft, section: &str, probe: Node<'_>) {
    let key = |name: &str| format!("{section}.{name}");
    for (name, node) in probe.pairs() {
        match (name.as_str(), node.integer()) {
            ("http_get", _) => match url(node) {
                Some(url) => draft.set(&key("http"), url),
                None => draft.remark(place(&format!("{section}: http_get"), node)),
            },
            ("exec", _) => match node.get("command").and_then(|node| node.text()) {
                Some(line) => draft.set(&key("exec"), command::of_shell_line(&line)),
                None => draft.remark(place(&format!("{section}: exec"), node)),
            },
            ("initial_delay_seconds", Some(seconds)) => {
                draft.set(&key("start_period"), seconds_of(seconds))
            }
            ("period_seconds", Some(seconds)) => {
                draft.set(&key("interval"), seconds_of(seconds.max(1)))
            }
            ("timeout_seconds", Some(seconds)) => {
                draft.set(&key("timeout"), seconds_of(seconds.max(1)))
            }
            ("success_threshold", Some(times)) => {
                draft.set(&key("success_threshold"), times.max(1))
            }
            ("failure_threshold", Some(times)) => {
                draft.set(&key("failure_threshold"), times.max(1))
            }
            _ => draft.remark(place(&format!("{section}: {name}"), node)),
        }
    }
}

/// The address that is asked; none where a part of it is only known when it runs.
fn url(node: Node<'_>) -> Option<String> {
    let text = |key: &str| node.get(key).and_then(|node| node.text());
    let scheme = text("scheme")
        .unwrap_or_else(|| "http".to_owned())
        .to_ascii_lowercase();
    let host = text("host").unwrap_or_else(|| "127.0.0.1".to_owned());
    let default_port = if scheme == "https" { 443 } else { 80 };
    let port = match text("port") {
        Some(port) => port.parse::<u16>().ok()?,
        None => default_port,
    };
    let path = text("path").unwrap_or_else(|| "/".to_owned());
    let slash = if path.starts_with('/') { "" } else { "/" };
    let known = !format!("{scheme}{host}{path}").contains(['$', '{', ' ']);
    known.then(|| format!("{scheme}://{host}:{port}{slash}{path}"))
}
