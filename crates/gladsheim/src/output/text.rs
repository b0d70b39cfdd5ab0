//! Text on a terminal: how wide it is, and made to fit.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// What stands where something was cut off.
const CUT: &str = "…";

/// Columns that a text takes.
pub(crate) fn width(text: &str) -> usize {
    // Nearly all of it is.
    if text.is_ascii() {
        return text.len();
    }
    text.width()
}

/// The text with what moves a cursor or changes a colour replaced: reasons, commands and output are others'.
pub(crate) fn harmless(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    text.replace('\n', " ")
        .replace('\t', "    ")
        .replace(char::is_control, "\u{fffd}")
}

/// The text in at most `room` columns; what does not fit is cut off, and one can see that.
pub(crate) fn clip(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let Some(room) = room.checked_sub(width(CUT)) else {
        return String::new();
    };
    let mut taken = 0;
    let fits = |char: &char| {
        taken += char.width().unwrap_or(0);
        taken <= room
    };
    text.chars().take_while(fits).collect::<String>() + CUT
}

/// The text in lines of at most `room` columns, broken between words where that is possible.
pub(crate) fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last().map_or(0, |line| width(line));
        if line > 0 && line + 1 + width(word) <= room {
            push(&mut lines, ' ');
        } else if line > 0 {
            lines.push(String::new());
        }
        let mut taken = lines.last().map_or(0, |line| width(line));
        for char in word.chars() {
            let columns = char.width().unwrap_or(0);
            if taken > 0 && taken + columns > room {
                lines.push(String::new());
                taken = 0;
            }
            taken += columns;
            push(&mut lines, char);
        }
    }
    lines
}

fn push(lines: &mut [String], char: char) {
    if let Some(line) = lines.last_mut() {
        line.push(char);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_count_twice_and_are_never_cut_in_half() {
        assert_eq!(width("雷神 ok"), 7);
        assert_eq!(clip("雷神の槌", 8), "雷神の槌");
        assert_eq!(clip("雷神の槌", 7), "雷神の…");
        assert_eq!(clip("雷神の槌", 6), "雷神…");
        assert_eq!(clip("雷神", 1), "…");
        assert_eq!(clip("雷神", 0), "");
    }

    #[test]
    fn long_text_is_broken_between_words_and_only_then_within_them() {
        assert_eq!(wrap("the hammer of thor", 10), ["the hammer", "of thor"]);
        assert_eq!(wrap("mjölnir", 3), ["mjö", "lni", "r"]);
        assert_eq!(wrap("ein 雷神 x", 5), ["ein", "雷神", "x"]);
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn text_of_others_moves_no_cursor() {
        assert_eq!(harmless("a\x1b[2Jb\nc\td".into()), "a\u{fffd}[2Jb c    d");
    }
}
