//! Lines of `key = value` under `[section]`, as supervisord and systemd write them.

use super::Fault;

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) section: String,
    pub(super) key: String,
    pub(super) value: String,
    /// Counted from 1.
    pub(super) line: usize,
}

/// Whose rules hold for comments and for values of several lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Python's: ` ;` begins a comment, a line that begins with a space continues the value.
    Supervisord,
    /// systemd's: comments have lines of their own, a `\` at the end continues the value.
    Unit,
}

/// Reads all settings, in order.
pub(super) fn read(text: &str, dialect: Dialect) -> Result<Vec<Entry>, Fault> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut section = String::new();
    // Whether this line goes on with the value of the one before it.
    let mut continues = false;
    for (index, raw) in text.lines().enumerate() {
        let line = index + 1;
        let content = raw.trim();
        if content.starts_with(['#', ';']) {
            continue;
        }
        if content.is_empty() {
            continues = false;
            continue;
        }
        let content = match dialect {
            Dialect::Supervisord => without_comment(content),
            Dialect::Unit => content,
        };
        let goes_on = dialect == Dialect::Unit && content.ends_with('\\');
        let content = if goes_on {
            content[..content.len() - 1].trim_end()
        } else {
            content
        };
        let indented = dialect == Dialect::Supervisord && raw.starts_with([' ', '\t']);
        if let Some(last) = entries.last_mut().filter(|_| continues || indented) {
            if !last.value.is_empty() {
                last.value
                    .push(if dialect == Dialect::Unit { ' ' } else { '\n' });
            }
            last.value.push_str(content);
        } else if let Some(name) = content
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            section = name.to_owned();
        } else if let Some((key, value)) = content.split_once('=') {
            entries.push(Entry {
                section: section.clone(),
                key: key.trim_end().to_owned(),
                value: value.trim_start().to_owned(),
                line,
            });
        } else {
            return Err(Fault::at(
                line,
                format!("{content:?} is neither [SECTION] nor KEY=VALUE"),
            ));
        }
        continues = goes_on;
    }
    Ok(entries)
}

/// Without what follows a `;` or `#` that stands after a space.
fn without_comment(line: &str) -> &str {
    let comment = line
        .char_indices()
        .zip(line.chars().skip(1))
        .find(|((_, before), c)| before.is_whitespace() && matches!(c, ';' | '#'));
    match comment {
        Some(((at, _), _)) => line[..at].trim_end(),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str, dialect: Dialect) -> Vec<(String, String, usize)> {
        let entries = read(text, dialect).expect("reads");
        entries
            .into_iter()
            .map(|entry| (entry.key, entry.value, entry.line))
            .collect()
    }

    #[test]
    fn python_s_values_go_on_where_a_line_is_indented() {
        let text = "[program:a]\ncommand = a ; not this\n  --b\n; nor this\nuser=x;y\n";
        let expected = [
            ("command".to_owned(), "a\n--b".to_owned(), 2),
            ("user".to_owned(), "x;y".to_owned(), 5),
        ];
        assert_eq!(pairs(text, Dialect::Supervisord), expected);
    }

    #[test]
    fn systemd_s_values_go_on_after_a_backslash() {
        let text = "[Service]\nExecStart=a \\\n# no\n  -b ; c\nUser=x\n";
        let expected = [
            ("ExecStart".to_owned(), "a -b ; c".to_owned(), 2),
            ("User".to_owned(), "x".to_owned(), 5),
        ];
        assert_eq!(pairs(text, Dialect::Unit), expected);
    }

    #[test]
    fn a_line_that_is_nothing_is_named() {
        let fault = read("[Service]\nwhat", Dialect::Unit).expect_err("is no setting");
        assert_eq!(fault.line, Some(2));
    }
}
