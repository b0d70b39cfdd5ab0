//! Aligned text tables.

use std::fmt::Write as _;

/// Lays a heading and rows out in columns as wide as their widest cell; cells that start with a
/// digit, `<` or `-` stand on the right.
pub(crate) fn render<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].as_str());
        cells
            .chain([heading[column]])
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let rule = widths.map(|width| "-".repeat(width));

    let mut text = String::new();
    for row in [&heading.map(String::from), &rule].into_iter().chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            // Writing to a string cannot fail.
            let _ = if cell.starts_with(|c: char| c.is_ascii_digit() || c == '<' || c == '-') {
                write!(line, "{cell:>width$}  ")
            } else {
                write!(line, "{cell:<width$}  ")
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_left_and_figures_right() {
        let rows = [["lint", "9.1 s"], ["test", "112.0 s"]].map(|row| row.map(String::from));
        assert_eq!(
            render(["step", "took"], &rows),
            "step  took\n----  -------\nlint    9.1 s\ntest  112.0 s\n"
        );
    }
}
