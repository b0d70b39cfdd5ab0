//! How much is told: a level, and exceptions for parts of the program.

use std::{fmt, str::FromStr};

use tracing_subscriber::filter::{LevelFilter, Targets};

/// The crates that a bare level is about. Others (HTTP/2, say) tell warnings and errors: what they tell beyond
/// that is of use to their own developers, and could have what must not be logged.
const OURS: [&str; 7] = [
    "gladsheim",
    "gladsheim_core",
    "gladsheim_proto",
    "byggvir",
    "roskva",
    "skirnir",
    "thjalfi",
];

/// For example `info`, or `info,roskva=debug`: a level, and others for targets that begin with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Levels {
    text: String,
    all: LevelFilter,
    targets: Vec<(String, LevelFilter)>,
}

/// A text that says no levels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no level: they are off, error, warn, info, debug and trace, and for a part of the program \
     alone TARGET=LEVEL, several with commas between them (info,roskva=debug)"
)]
pub(crate) struct LevelError(String);

impl Levels {
    pub(super) fn targets(&self) -> Targets {
        let ours = OURS.map(|target| (target, self.all));
        Targets::new()
            .with_default(self.all.min(LevelFilter::WARN))
            .with_targets(ours)
            .with_targets(self.targets.iter().cloned())
    }
}

impl Default for Levels {
    fn default() -> Self {
        Self {
            text: "info".to_owned(),
            all: LevelFilter::INFO,
            targets: Vec::new(),
        }
    }
}

impl FromStr for Levels {
    type Err = LevelError;

    fn from_str(text: &str) -> Result<Self, LevelError> {
        let wrong = || LevelError(text.to_owned());
        let level = |word: &str| {
            // Its own reading takes numbers too, of which nobody knows the order.
            let is_word = word.bytes().all(|byte| byte.is_ascii_alphabetic());
            let level = is_word.then(|| word.parse().ok()).flatten();
            level.filter(|_| !word.is_empty()).ok_or_else(wrong)
        };
        let mut levels = Self {
            text: text.to_owned(),
            ..Self::default()
        };
        for part in text.split(',').map(str::trim) {
            match part.split_once('=') {
                None => levels.all = level(part)?,
                Some((target, word)) if is_target(target) => {
                    levels.targets.push((target.to_owned(), level(word)?));
                }
                Some(_) => return Err(wrong()),
            }
        }
        Ok(levels)
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A path of Rust modules.
fn is_target(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_:".contains(&byte);
    !text.is_empty() && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_bare_level_is_about_our_own_crates() {
        let targets = "trace".parse::<Levels>().unwrap().targets();
        assert!(targets.would_enable("gladsheim::daemon", &Level::TRACE));
        assert!(targets.would_enable("thjalfi::loader", &Level::TRACE));
        assert!(targets.would_enable("h2::codec", &Level::WARN));
        assert!(!targets.would_enable("h2::codec", &Level::INFO));
        let targets = "error".parse::<Levels>().unwrap().targets();
        assert!(!targets.would_enable("h2::codec", &Level::WARN));
    }

    #[test]
    fn a_target_has_its_own_level() {
        let targets = "warn,roskva=debug,h2=trace"
            .parse::<Levels>()
            .unwrap()
            .targets();
        assert!(targets.would_enable("roskva::core", &Level::DEBUG));
        assert!(!targets.would_enable("thjalfi", &Level::INFO));
        assert!(targets.would_enable("h2::codec", &Level::TRACE));
    }

    #[test]
    fn what_is_no_level_is_refused_with_the_way_out() {
        for wrong in [
            "",
            "loud",
            "info,",
            "3",
            "=debug",
            "a b=debug",
            "roskva=",
            "roskva=loud",
        ] {
            let error = wrong.parse::<Levels>().unwrap_err().to_string();
            assert!(error.contains("info,roskva=debug"), "{wrong}: {error}");
        }
        for right in ["off", "INFO", "debug, thjalfi::os=trace"] {
            assert_eq!(right.parse::<Levels>().unwrap().to_string(), right);
        }
    }
}
