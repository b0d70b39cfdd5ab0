//! The end of an output, bounded, for messages.

/// Bytes of output that are kept.
const KEPT: usize = 4096;
/// Characters of a line that go into a message.
const LINE: usize = 200;

/// Keeps the last bytes that were written.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    bytes: Vec<u8>,
}

impl Tail {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > 2 * KEPT {
            self.bytes.drain(..self.bytes.len() - KEPT);
        }
    }

    /// The last line that is not blank, or an empty text.
    pub(crate) fn last_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let line = text.lines().rev().map(str::trim).find(|l| !l.is_empty());
        short_line(line.unwrap_or(""))
    }
}

/// A line cut to what a message bears, without control characters.
pub(crate) fn short_line(line: &str) -> String {
    line.chars()
        .take(LINE)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_line_is_found_and_bounded() {
        for (output, line) in [
            ("", ""),
            ("one\ntwo\n\n  \n", "two"),
            ("no newline", "no newline"),
            ("a\tb\u{1b}[1m", "a b [1m"),
        ] {
            let mut tail = Tail::default();
            tail.push(output.as_bytes());
            assert_eq!(tail.last_line(), line);
        }
        let mut tail = Tail::default();
        for _ in 0..1000 {
            tail.push(&[b'x'; 1000]);
        }
        assert!(tail.bytes.len() <= 2 * KEPT);
        assert_eq!(tail.last_line().len(), LINE);
    }
}
