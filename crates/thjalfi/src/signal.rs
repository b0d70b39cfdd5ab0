//! The signals that a service can be sent; keeps `nix` out of the public API.

use std::fmt;

/// A signal, named by what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Signal {
    /// SIGHUP
    Hangup,
    /// SIGINT
    Interrupt,
    /// SIGQUIT
    Quit,
    /// SIGKILL
    Kill,
    /// SIGUSR1
    User1,
    /// SIGUSR2
    User2,
    /// SIGTERM
    Terminate,
    /// SIGCONT
    Continue,
    /// SIGSTOP
    Stop,
    /// SIGWINCH
    WindowChange,
    /// SIGALRM
    Alarm,
    /// SIGABRT
    Abort,
}

impl Signal {
    /// All signals, in the order in which they are declared.
    pub const ALL: [Self; 12] = [
        Self::Hangup,
        Self::Interrupt,
        Self::Quit,
        Self::Kill,
        Self::User1,
        Self::User2,
        Self::Terminate,
        Self::Continue,
        Self::Stop,
        Self::WindowChange,
        Self::Alarm,
        Self::Abort,
    ];

    /// The number on this platform.
    pub fn as_raw(self) -> i32 {
        match self {
            Self::Hangup => libc::SIGHUP,
            Self::Interrupt => libc::SIGINT,
            Self::Quit => libc::SIGQUIT,
            Self::Kill => libc::SIGKILL,
            Self::User1 => libc::SIGUSR1,
            Self::User2 => libc::SIGUSR2,
            Self::Terminate => libc::SIGTERM,
            Self::Continue => libc::SIGCONT,
            Self::Stop => libc::SIGSTOP,
            Self::WindowChange => libc::SIGWINCH,
            Self::Alarm => libc::SIGALRM,
            Self::Abort => libc::SIGABRT,
        }
    }

    /// The conventional name, for example `SIGTERM`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hangup => "SIGHUP",
            Self::Interrupt => "SIGINT",
            Self::Quit => "SIGQUIT",
            Self::Kill => "SIGKILL",
            Self::User1 => "SIGUSR1",
            Self::User2 => "SIGUSR2",
            Self::Terminate => "SIGTERM",
            Self::Continue => "SIGCONT",
            Self::Stop => "SIGSTOP",
            Self::WindowChange => "SIGWINCH",
            Self::Alarm => "SIGALRM",
            Self::Abort => "SIGABRT",
        }
    }

    /// Reads `SIGTERM`, `TERM`, `term` or the number; `None` for any other text.
    pub fn from_name(name: &str) -> Option<Self> {
        let upper = name.to_ascii_uppercase();
        let short = upper.strip_prefix("SIG").unwrap_or(&upper);
        Self::ALL.into_iter().find(|signal| {
            signal.as_str().trim_start_matches("SIG") == short
                || name.parse() == Ok(signal.as_raw())
        })
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Signal;

    #[test]
    fn a_signal_is_known_by_name_short_name_and_number() {
        for signal in Signal::ALL {
            let name = signal.as_str();
            assert_eq!(Signal::from_name(name), Some(signal));
            assert_eq!(Signal::from_name(&name[3..].to_lowercase()), Some(signal));
            assert_eq!(
                Signal::from_name(&signal.as_raw().to_string()),
                Some(signal)
            );
        }
        assert_eq!(Signal::from_name("SIGNAL"), None);
        assert_eq!(Signal::from_name(""), None);
    }
}
