//! Process numbers: which of them the kernel has given out since somebody looked.
//!
//! It gives them out in order, and `/proc/loadavg` ends with the last one, so that whoever asks each round
//! has a few numbers to look at instead of all of `/proc`. Threads take numbers too.

use std::ops::Range;

use super::stat::{number, words};

/// As many numbers are looked at one by one; a walk is cheaper for more.
const FEW: u32 = 64;

/// What there is to look at.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Newcomers {
    /// The machine has not forked.
    None,
    /// Only these can be new.
    Few(Vec<u32>),
    /// Any number can be new.
    Many,
}

/// The numbers given out up to the last look.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    last: Option<u32>,
    /// Those of the last look, for which the process may not have been there yet.
    again: Range<u32>,
}

impl Numbers {
    /// What is new, by the text of `/proc/loadavg`; where that does not tell, everything may be.
    pub(super) fn since(&mut self, loadavg: &[u8]) -> Newcomers {
        let last = words(loadavg).last().and_then(number);
        let last = last.and_then(|last| u32::try_from(last).ok());
        let before = std::mem::replace(&mut self.last, last);
        let again = std::mem::take(&mut self.again);
        match (before, last) {
            // Below the one before, it has begun anew.
            (Some(before), Some(last)) if (before..=before.saturating_add(FEW)).contains(&last) => {
                self.again = before + 1..last + 1;
                let few: Vec<u32> = again.chain(self.again.clone()).collect();
                if few.is_empty() {
                    Newcomers::None
                } else {
                    Newcomers::Few(few)
                }
            }
            (Some(_) | None, Some(_) | None) => Newcomers::Many,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_numbers_are_looked_at_twice_and_many_at_once() {
        let mut numbers = Numbers::default();
        let mut since = |last: u32| numbers.since(format!("0.1 0.2 0.3 1/99 {last}\n").as_bytes());
        assert_eq!(since(100), Newcomers::Many, "nobody has looked yet");
        assert_eq!(since(100), Newcomers::None);
        assert_eq!(since(102), Newcomers::Few(vec![101, 102]));
        assert_eq!(since(103), Newcomers::Few(vec![101, 102, 103]));
        assert_eq!(since(103), Newcomers::Few(vec![103]));
        assert_eq!(since(103), Newcomers::None);
        assert_eq!(since(103 + FEW + 1), Newcomers::Many);
        assert_eq!(since(7), Newcomers::Many, "it began anew");
        assert_eq!(since(8), Newcomers::Few(vec![8]));
        assert_eq!(numbers.since(b""), Newcomers::Many);
    }
}
