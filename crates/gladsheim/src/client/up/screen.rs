//! A block of lines at the bottom of the terminal that is drawn anew, and lines that scroll up above it.

use std::io;

use crate::output::Output;

/// Rows of a terminal that does not say how many it has.
const USUAL_ROWS: usize = 24;

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
            let most = room(block.len());
            let more = block.len() - most;
            for row in block.iter().take(most) {
                text += &format!("{row}\n");
            }
            if more > 0 {
                text += &format!("  … and {more} more\n");
            }
            text += "\x1b[?7h";
            self.drawn = most + usize::from(more > 0);
        }
        self.output.raw(&text)
    }
}

/// How many of so many rows are shown, the others being only counted: what has scrolled off the screen cannot be
/// drawn anew.
fn room(rows: usize) -> usize {
    // One for the cursor below, one for the count.
    let room = Output::rows().unwrap_or(USUAL_ROWS).saturating_sub(2);
    rows.min(room.max(1))
}
