//! What a terminal shows, as a picture: text with escape sequences to SVG.

use std::fmt::Write as _;

/// Size of one character.
const COLUMN: f32 = 8.4;
const ROW: f32 = 18.0;
/// Room around the text.
const EDGE: f32 = 14.0;
const BACKGROUND: &str = "#1b1e24";
const PLAIN: &str = "#d5d8de";
/// The sixteen colours, in a terminal's order.
const COLORS: [&str; 16] = [
    "#3b4048", "#e06c75", "#8fbf6f", "#e0b456", "#61afef", "#c678dd", "#56b6c2", "#d5d8de",
    "#6b7280", "#ff8a93", "#a8d88a", "#f5cf7b", "#83c5ff", "#dd9bf0", "#7bd3de", "#ffffff",
];

/// How the text that follows looks.
#[derive(Debug, Clone, Copy, Default)]
struct Look {
    color: Option<usize>,
    bold: bool,
    dim: bool,
    reversed: bool,
}

impl Look {
    /// What the numbers of an escape sequence change.
    fn change(&mut self, numbers: &str) {
        let mut numbers = numbers.split(';').map(|number| number.parse().unwrap_or(0));
        while let Some(number) = numbers.next() {
            match number {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                7 => self.reversed = true,
                22 => (self.bold, self.dim) = (false, false),
                27 => self.reversed = false,
                30..=37 => self.color = Some(number - 30),
                90..=97 => self.color = Some(number - 82),
                39 => self.color = None,
                38 if numbers.next() == Some(5) => {
                    self.color = numbers.next().filter(|color| *color < COLORS.len());
                }
                _ => {}
            }
        }
    }
}

/// The picture of a screen that is so many columns wide; empty lines at its end are left out.
pub(super) fn picture(title: &str, screen: &str, columns: usize) -> String {
    let lines: Vec<&str> = screen.trim_end().lines().collect();
    let width = columns as f32 * COLUMN + 2.0 * EDGE;
    let height = lines.len() as f32 * ROW + 2.0 * EDGE;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         font-family=\"ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace\" font-size=\"14\">\n\
         <title>{}</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n",
        escaped(title)
    );
    let mut look = Look::default();
    for (number, line) in lines.iter().enumerate() {
        let mut column = 0;
        for (numbers, text) in runs(line) {
            if let Some(numbers) = numbers {
                look.change(numbers);
            }
            let length = text.chars().count();
            // Blanks are seen only where they are marked.
            if look.reversed || !text.trim().is_empty() {
                run(&mut svg, text, (column, number), length, look);
            }
            column += length;
        }
    }
    svg + "</svg>\n"
}

/// The texts of a line, each with the numbers of the escape sequence before it.
fn runs(line: &str) -> impl Iterator<Item = (Option<&str>, &str)> {
    line.split("\x1b[")
        .enumerate()
        .map(|(number, part)| match part.split_once('m') {
            Some((numbers, text)) if number > 0 => (Some(numbers), text),
            _ => (None, part),
        })
}

fn run(svg: &mut String, text: &str, (column, row): (usize, usize), length: usize, look: Look) {
    let (x, top) = (EDGE + column as f32 * COLUMN, EDGE + row as f32 * ROW);
    let width = length as f32 * COLUMN;
    let color = look.color.map_or(PLAIN, |color| COLORS[color]);
    let mut fill = color;
    if look.reversed {
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{ROW}\" fill=\"{color}\"/>"
        );
        fill = BACKGROUND;
    }
    let bold = if look.bold {
        " font-weight=\"bold\""
    } else {
        ""
    };
    let dim = if look.dim { " opacity=\"0.6\"" } else { "" };
    let y = top + 0.75 * ROW;
    let text = escaped(text);
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{width:.1}\" lengthAdjust=\"spacingAndGlyphs\" \
         xml:space=\"preserve\" fill=\"{fill}\"{bold}{dim}>{text}</text>"
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
