//! `/proc` and cgroup texts, parsed by hand from bytes: they are read some thousand times a second.

/// What is used of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) state: u8,
    pub(super) parent: u32,
    pub(super) session: u32,
    /// User and system time in ticks.
    pub(super) own_ticks: u64,
    /// The same of the children that it has reaped.
    pub(super) reaped_ticks: u64,
    /// Start time in ticks since boot: tells two processes of the same number apart.
    pub(super) started: u64,
    /// Resident pages of any kind.
    pub(super) resident: u64,
}

impl Stat {
    /// Dead, but not reaped: its times count, it has no memory.
    pub(super) fn is_zombie(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

pub(super) fn parse_stat(text: &[u8]) -> Option<Stat> {
    // The name in parentheses may hold anything, spaces and parentheses too.
    let name_end = text.iter().rposition(|&byte| byte == b')')?;
    let mut fields = words(text.get(name_end + 1..)?);
    let state = *fields.next()?.first()?;
    let parent = number(fields.next()?)?;
    let session = number(fields.nth(1)?)?;
    let user = number(fields.nth(7)?)?;
    let system = number(fields.next()?)?;
    // Reaped times may be shown as negative by old kernels.
    let reaped_user = number(fields.next()?).unwrap_or(0);
    let reaped_system = number(fields.next()?).unwrap_or(0);
    let started = number(fields.nth(4)?)?;
    let resident = number(fields.nth(1)?)?;
    Some(Stat {
        state,
        parent: u32::try_from(parent).ok()?,
        session: u32::try_from(session).ok()?,
        own_ticks: user.saturating_add(system),
        reaped_ticks: reaped_user.saturating_add(reaped_system),
        started,
        resident,
    })
}

/// Pages of a process, from `/proc/PID/statm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Statm {
    /// Resident pages of any kind; 0 for a zombie.
    pub(super) resident: u64,
    /// Of these, pages of files and of shared memory.
    pub(super) shared: u64,
}

pub(super) fn parse_statm(text: &[u8]) -> Option<Statm> {
    let mut fields = words(text);
    Some(Statm {
        resident: number(fields.nth(1)?)?,
        shared: number(fields.next()?)?,
    })
}

/// The number behind `key` at the start of a line: `usage_usec 17`, `MemTotal:  9 kB`.
pub(super) fn keyed(text: &[u8], key: &str) -> Option<u64> {
    text.split(|&byte| byte == b'\n').find_map(|line| {
        let mut fields = words(line);
        (fields.next()? == key.as_bytes())
            .then(|| number(fields.next()?))
            .flatten()
    })
}

pub(super) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| byte.is_ascii_whitespace())
        .filter(|word| !word.is_empty())
}

pub(super) fn number(word: &[u8]) -> Option<u64> {
    if word.is_empty() {
        return None;
    }
    word.iter().try_fold(0u64, |value, byte| {
        let digit = byte.checked_sub(b'0').filter(|&digit| digit < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stat_of_a_spitefully_named_process_is_parsed() {
        let text =
            b"42 (a) R 1 (b) S 7 42 41 0 -1 4194304 9 8 7 6 100 20 3 4 20 0 1 0 555 1000 77 \
                     18446744073709551615 1";
        let stat = parse_stat(text).expect("is valid");
        let expected = Stat {
            state: b'S',
            parent: 7,
            session: 41,
            own_ticks: 120,
            reaped_ticks: 7,
            started: 555,
            resident: 77,
        };
        assert_eq!(stat, expected);
    }

    #[test]
    fn own_stat_says_who_we_are() {
        let text = std::fs::read("/proc/self/stat").expect("is read");
        let stat = parse_stat(&text).expect("is valid");
        assert_eq!(stat.parent, nix::unistd::getppid().as_raw() as u32);
        assert!(!stat.is_zombie() && stat.resident > 0);
    }

    #[test]
    fn statm_and_keys_are_parsed() {
        let statm = parse_statm(b"2000 300 100 5 0 90 0\n").expect("is valid");
        assert_eq!(
            statm,
            Statm {
                resident: 300,
                shared: 100
            }
        );
        let text = b"MemTotal:       24684096 kB\nMemTotalX: 1\nusage_usec 17\n";
        assert_eq!(keyed(text, "MemTotal:"), Some(24_684_096));
        assert_eq!(keyed(text, "usage_usec"), Some(17));
        assert_eq!(keyed(text, "missing"), None);
        assert_eq!(number(b"18446744073709551616"), None, "does not fit");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic(text in prop::collection::vec(any::<u8>(), 0..300)) {
            parse_stat(&text);
            parse_statm(&text);
            keyed(&text, "x");
        }

        #[test]
        fn cut_off_stat_is_refused_not_guessed(length in 0usize..60) {
            let text = b"42 (a) S 7 42 41 0 -1 4194304 9 8 7 6 100 20 3 4 20 0 1 0 555 1000 77";
            prop_assert_eq!(parse_stat(&text[..length]), None);
        }
    }
}
