//! Captured lines: objects for programs, text for people.

use gladsheim_proto::v1::LogLine;
use serde::Serialize;

use super::{Output, Style, rfc3339};

/// The JSON of one line.
#[derive(Debug, Serialize)]
pub(crate) struct LogDocument<'a> {
    service_name: &'a str,
    at: String,
    stream: &'a str,
    line: &'a str,
}

impl<'a> From<&'a LogLine> for LogDocument<'a> {
    fn from(line: &'a LogLine) -> Self {
        Self {
            service_name: &line.service_name,
            at: rfc3339(line.at_unix_ms),
            stream: &line.stream,
            line: &line.line,
        }
    }
}

/// Puts `name | ` before lines, a colour for each name.
#[derive(Debug, Default)]
pub(crate) struct Prefixer {
    names: Vec<String>,
    width: usize,
}

impl Prefixer {
    /// Prefixes for these services; others may follow.
    pub(crate) fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut prefixer = Self::default();
        for name in names {
            prefixer.number(name);
        }
        prefixer
    }

    /// A line with its prefix. The names are padded to one width only where somebody looks at them.
    pub(crate) fn line(&mut self, name: &str, text: &str, output: Output) -> String {
        let style = self.style(name);
        let width = if output.terminal { self.width } else { 0 };
        format!(
            "{} {text}",
            output.paint(style, &format!("{name:<width$} |"))
        )
    }

    /// The style of a service's name.
    pub(crate) fn style(&mut self, name: &str) -> Style {
        Style::Name(self.number(name))
    }

    fn number(&mut self, name: &str) -> usize {
        self.names
            .iter()
            .position(|known| known == name)
            .unwrap_or_else(|| {
                self.width = self.width.max(name.len());
                self.names.push(name.to_owned());
                self.names.len() - 1
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_keeps_its_colour_and_a_pipe_sees_none() {
        let mut prefixer = Prefixer::new(["thor", "freki"]);
        let mut output = Output::plain();
        assert_eq!(prefixer.line("thor", "hail", output), "thor | hail");
        (output.color, output.terminal) = (true, true);
        let first = prefixer.line("thor", "hail", output);
        assert!(first.ends_with("mthor  |\x1b[0m hail"), "{first:?}");
        assert_ne!(prefixer.style("loki"), prefixer.style("thor"));
        assert_eq!(prefixer.line("thor", "hail", output), first);
    }
}
