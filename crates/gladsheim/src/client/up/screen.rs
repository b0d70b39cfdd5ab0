//! A block of lines at the bottom of the terminal that is drawn anew, and lines that scroll up above it.

use std::io;

use crate::output::Output;

/// More rows than this are only counted: the block must fit on the smallest terminal.
const MOST_ROWS: usize = 12;

/// The bottom of the terminal.
#[derive(Debug)]
pub(super) struct Screen {
    output: Output,
    /// Lines of the block that stand there now.
    drawn: usize,
}

impl Screen {
    /// Nothing is drawn yet.
    pub(super) fn new(output: Output) -> Self {
        Self { output, drawn: 0 }
    }

    /// Lets `lines` scroll up, and draws the block anew below them. One write.
    pub(super) fn draw(&mut self, lines: &[String], block: &[String]) -> io::Result<()> {
        if lines.is_empty() && block.is_empty() && self.drawn == 0 {
            return Ok(());
        }
        let mut text = String::new();
        if self.drawn > 0 {
            text += &format!("\r\x1b[{}A\x1b[J", self.drawn);
        }
        for line in lines {
            text += line;
            text.push('\n');
        }
        self.drawn = 0;
        if !block.is_empty() {
            // Without automatic wrapping a long row takes one line however narrow the terminal is.
            text += "\x1b[?7l";
            let more = block.len().saturating_sub(MOST_ROWS);
            for row in block.iter().take(MOST_ROWS) {
                text += &format!("{row}\n");
            }
            if more > 0 {
                text += &format!("  … and {more} more\n");
            }
            text += "\x1b[?7h";
            self.drawn = block.len().min(MOST_ROWS) + usize::from(more > 0);
        }
        self.output.raw(&text)
    }
}
