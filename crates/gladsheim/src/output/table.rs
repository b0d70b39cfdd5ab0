//! Aligned columns, which also fit on a narrow terminal.
//!
//! The last column is the one with the most to say. Where a row has no room for it, it gets a line of its own
//! below the row; where the others do not fit either, columns are left out, the least important first.

use super::{
    Output, Style,
    text::{clip, harmless, width, wrap},
};

/// Between two columns.
const GAP: usize = 2;

/// On which side a column is flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// One cell.
#[derive(Debug)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Text in a style.
    pub(crate) fn styled(style: Style, text: impl Into<String>) -> Self {
        Self {
            text: harmless(text.into()),
            style,
        }
    }

    /// Text as it is, or a dash.
    pub(crate) fn or_dash(text: Option<String>) -> Self {
        Self::from(text.unwrap_or_else(|| "-".to_owned()))
    }

    fn width(&self) -> usize {
        width(&self.text)
    }

    /// At most that wide.
    fn clipped(&self, room: usize, output: Output) -> String {
        output.paint(self.style, &clip(&self.text, room))
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(Style::Plain, text)
    }
}

/// A table with a heading.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    columns: [(&'static str, Align); N],
    rows: Vec<[Cell; N]>,
    dispensable: &'static [usize],
}

/// Which columns are shown, how wide they are, and where the last one stands.
struct Layout<const N: usize> {
    widths: [Option<usize>; N],
    note: Note,
}

/// The place of the last column.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Note {
    /// At the end of its row.
    Beside,
    /// On lines of its own, at most that wide.
    Below(usize),
}

impl<const N: usize> Table<N> {
    /// A table without rows.
    pub(crate) fn new(columns: [(&'static str, Align); N]) -> Self {
        Self {
            columns,
            rows: Vec::new(),
            dispensable: &[],
        }
    }

    /// Columns that may be left out where there is no room for all, the first one first.
    pub(crate) fn dispensable(mut self, columns: &'static [usize]) -> Self {
        self.dispensable = columns;
        self
    }

    /// Adds a row at the end.
    pub(crate) fn row(&mut self, cells: [Cell; N]) {
        self.rows.push(cells);
    }

    /// All lines, without the last line's end. On a terminal no line is wider than that.
    pub(crate) fn render(&self, output: Output) -> String {
        let heading = self
            .columns
            .map(|(title, _)| Cell::styled(Style::Bold, title));
        let layout = self.layout(&heading, output.width);
        let mut lines = Vec::with_capacity(self.rows.len() + 1);
        for cells in std::iter::once(&heading).chain(&self.rows) {
            lines.push(self.line(cells, &layout, output));
            let note = &cells[N - 1];
            if let Note::Below(room) = layout.note
                && !std::ptr::eq(cells, &heading)
                && !note.text.is_empty()
            {
                let parts = wrap(&note.text, room);
                let painted = |part: String| format!("  {}", output.paint(note.style, &part));
                lines.extend(parts.into_iter().map(painted));
            }
        }
        lines.join("\n")
    }

    fn layout(&self, heading: &[Cell; N], room: Option<usize>) -> Layout<N> {
        let mut widths: [Option<usize>; N] = std::array::from_fn(|column| {
            let cells = std::iter::once(heading).chain(&self.rows);
            cells.map(|cells| cells[column].width()).max()
        });
        let note = widths[N - 1].take().unwrap_or(0);
        let taken = |widths: &[Option<usize>; N]| -> usize {
            widths.iter().flatten().map(|width| width + GAP).sum()
        };
        let Some(room) = room.filter(|room| taken(&widths) + note > *room) else {
            let note = Note::Beside;
            return Layout { widths, note };
        };
        let mut dispensable = self.dispensable.iter();
        while taken(&widths) > room + GAP
            && let Some(&column) = dispensable.next()
        {
            widths[column] = None;
        }
        // What is then still too wide is the first column, names as a rule.
        let excess = taken(&widths).saturating_sub(room + GAP);
        if let Some(first) = &mut widths[0] {
            *first = first.saturating_sub(excess);
        }
        let note = Note::Below(room.saturating_sub(GAP).max(1));
        Layout { widths, note }
    }

    fn line(&self, cells: &[Cell; N], layout: &Layout<N>, output: Output) -> String {
        let mut line = String::new();
        for (column, cell) in cells.iter().enumerate() {
            let Some(room) = layout.widths[column] else {
                continue;
            };
            let text = cell.clipped(room, output);
            let gap = " ".repeat(room.saturating_sub(cell.width()));
            match self.columns[column].1 {
                Align::Left => line += &format!("{text}{gap}  "),
                Align::Right => line += &format!("{gap}{text}  "),
            }
        }
        if layout.note == Note::Beside {
            let cell = &cells[N - 1];
            line += &match self.columns[N - 1].1 {
                Align::Left => output.paint(cell.style, &cell.text),
                Align::Right => self.flush_right(cell, output),
            };
        }
        line.truncate(line.trim_end().len());
        line
    }

    /// The last column, where it has numbers.
    fn flush_right(&self, cell: &Cell, output: Output) -> String {
        let cells = self.rows.iter().map(|cells| cells[N - 1].width());
        let widest = cells.chain([width(self.columns[N - 1].0)]).max();
        let gap = widest.unwrap_or(0).saturating_sub(cell.width());
        " ".repeat(gap) + &output.paint(cell.style, &cell.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<3> {
        let mut table = Table::new([
            ("NAME", Align::Left),
            ("PID", Align::Right),
            ("WHY", Align::Left),
        ])
        .dispensable(&[1]);
        table.row([Cell::styled(Style::Good, "thor"), "12345".into(), "".into()]);
        table.row([
            "loki-the-sly".into(),
            Cell::or_dash(None),
            "exit code 1, 雷神 said so".into(),
        ]);
        table
    }

    #[test]
    fn columns_are_aligned_and_colours_do_not_count() {
        let mut output = Output::plain();
        let plain = "NAME            PID  WHY\n\
                     thor          12345\n\
                     loki-the-sly      -  exit code 1, 雷神 said so";
        assert_eq!(table().render(output), plain);
        output.color = true;
        assert!(
            table()
                .render(output)
                .contains("\x1b[32mthor\x1b[0m          12345")
        );
    }

    #[test]
    fn what_has_no_room_goes_below_its_row() {
        let output = Output {
            width: Some(24),
            ..Output::plain()
        };
        assert_eq!(
            table().render(output),
            "NAME            PID\n\
             thor          12345\n\
             loki-the-sly      -\n  exit code 1, 雷神 said\n  so"
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_however_narrow_that_is() {
        for room in 1..60 {
            let output = Output {
                width: Some(room),
                ..Output::plain()
            };
            let text = table().render(output);
            let widest = text.lines().map(width).max().unwrap_or(0);
            // An indented note has two blanks, and a wide character two columns.
            assert!(widest <= room.max(4), "{room}:\n{text}");
            assert!(room < 12 || text.contains("thor"), "{room}:\n{text}");
        }
    }
}
