//! Whatever a file holds, reading it ends with a hall or with at least one error, and never panics.

use proptest::{prelude::*, sample::Index};

use super::*;

/// Reads a text and checks what holds for every text.
fn read_anything(text: &str) {
    match parse(text) {
        Ok(hall) => {
            assert!(
                hall.warnings
                    .iter()
                    .all(|warning| warning.severity == Severity::Warning)
            );
            for service in &hall.config.services {
                assert!(!service.path.as_os_str().is_empty());
                assert!(hall.position(&service.name, "").is_some());
            }
        }
        Err(error) => {
            let is_error = |diagnostic: &Diagnostic| diagnostic.severity == Severity::Error;
            assert!(error.diagnostics.iter().any(is_error));
            for diagnostic in &error.diagnostics {
                assert!(!diagnostic.message.contains('\n'), "{diagnostic}");
                let position = diagnostic.position.expect("is in the text");
                assert!(
                    position.line <= text.matches('\n').count() + 1,
                    "{diagnostic}"
                );
            }
        }
    }
}

/// What values are replaced by.
const VALUES: [&str; 16] = [
    "0",
    "-1",
    "9223372036854775807",
    "9223372036854775808",
    "0x7f",
    "1.5",
    "nan",
    "inf",
    "true",
    "''",
    "\"\\u0000\"",
    "[]",
    "[[]]",
    "{}",
    "{ a = 1 }",
    "1979-05-27",
];

proptest! {
    #[test]
    fn any_text_is_read(text in any::<String>()) {
        read_anything(&text);
    }

    #[test]
    fn any_lines_of_toml_are_read(text in "([a-z.\\[\\]{}='\",0-9 \\n]|services|path|depends_on){0,200}") {
        read_anything(&text);
    }

    #[test]
    fn any_damage_to_a_good_file_is_read(cuts in proptest::collection::vec(any::<(Index, Index, char)>(), 1..4)) {
        let mut text: Vec<char> = EVERY_KEY.chars().collect();
        for (from, length, put) in cuts {
            let from = from.index(text.len());
            let to = from + length.index(20.min(text.len() - from).max(1));
            text.splice(from..to, [put]);
        }
        read_anything(&text.into_iter().collect::<String>());
    }

    #[test]
    fn any_value_in_any_place_is_read(line in any::<Index>(), value in any::<Index>()) {
        let mut lines: Vec<_> = EVERY_KEY.lines().map(str::to_owned).collect();
        let line = line.index(lines.len());
        if let Some((key, _)) = lines[line].split_once('=') {
            lines[line] = format!("{key} = {}", VALUES[value.index(VALUES.len())]);
        }
        read_anything(&lines.join("\n"));
    }
}
