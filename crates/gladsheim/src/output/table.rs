//! Aligned columns.

use super::{Output, Style};

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
            text: text.into(),
            style,
        }
    }

    /// Text as it is, or a dash.
    pub(crate) fn or_dash(text: Option<String>) -> Self {
        Self::from(text.unwrap_or_else(|| "-".to_owned()))
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
}

impl<const N: usize> Table<N> {
    /// A table without rows.
    pub(crate) fn new(columns: [(&'static str, Align); N]) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds a row at the end.
    pub(crate) fn row(&mut self, cells: [Cell; N]) {
        self.rows.push(cells);
    }

    /// All lines, without the last line's end.
    pub(crate) fn render(&self, output: Output) -> String {
        let heading = self
            .columns
            .map(|(title, _)| Cell::styled(Style::Bold, title));
        let lines: Vec<_> = std::iter::once(&heading).chain(&self.rows).collect();
        let widths: [usize; N] = std::array::from_fn(|column| {
            lines
                .iter()
                .map(|cells| cells[column].text.chars().count())
                .max()
                .unwrap_or(0)
        });
        let lines = lines.iter().map(|cells| {
            let mut line = String::new();
            for (column, cell) in cells.iter().enumerate() {
                let gap = " ".repeat(widths[column] - cell.text.chars().count());
                let text = output.paint(cell.style, &cell.text);
                match self.columns[column].1 {
                    Align::Left if column + 1 == N => line += &text,
                    Align::Left => line += &format!("{text}{gap}  "),
                    Align::Right => line += &format!("{gap}{text}  "),
                }
            }
            line.truncate(line.trim_end().len());
            line
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Format;

    #[test]
    fn columns_are_aligned_and_colours_do_not_count() {
        let mut table = Table::new([
            ("NAME", Align::Left),
            ("PID", Align::Right),
            ("WHY", Align::Left),
        ]);
        table.row([Cell::styled(Style::Good, "thor"), "12345".into(), "".into()]);
        table.row([
            "loki-the-sly".into(),
            Cell::or_dash(None),
            "exit code 1".into(),
        ]);
        let mut output = Output {
            format: Format::Table,
            color: false,
            terminal: false,
        };
        let plain =
            "NAME            PID  WHY\nthor          12345\nloki-the-sly      -  exit code 1";
        assert_eq!(table.render(output), plain);
        output.color = true;
        assert!(
            table
                .render(output)
                .contains("\x1b[32mthor\x1b[0m          12345")
        );
    }
}
