//! Command lines: run directly where they are nothing but words, else by a shell.

use super::draft::{Draft, Value};

/// With one of these a line is more than one simple command, so that `exec` may not stand before it.
const OPERATORS: [char; 10] = [';', '|', '&', '(', ')', '{', '}', '`', '\n', '!'];
/// These are for a shell to expand.
const EXPANSIONS: [char; 9] = ['$', '*', '?', '[', ']', '~', '#', '<', '>'];

/// A command as a hall file has it: the program, then its arguments.
pub(crate) fn of_shell_line(line: &str) -> Vec<String> {
    let line = line.trim();
    let assigns = line
        .split_whitespace()
        .next()
        .is_some_and(|word| word.contains('='));
    let operates = line.contains(OPERATORS) || line.starts_with("exec ");
    if !operates
        && !assigns
        && !line.contains(EXPANSIONS)
        && let Some(words) = shlex::split(line).filter(|words| !words.is_empty())
    {
        return words;
    }
    let exec = if operates || assigns { "" } else { "exec " };
    by_shell(&format!("{exec}{line}"))
}

/// A line that only a shell understands.
pub(crate) fn by_shell(line: &str) -> Vec<String> {
    ["/bin/sh", "-c", line].map(str::to_owned).to_vec()
}

/// Several commands as one: each runs if those before it went well.
pub(crate) fn all_of(commands: &[Vec<String>]) -> Vec<String> {
    match commands {
        [one] => one.clone(),
        several => {
            let lines: Vec<_> = several.iter().map(|words| quoted(words)).collect();
            by_shell(&lines.join(" && "))
        }
    }
}

/// The words as a line that a shell reads back as the same words.
pub(crate) fn quoted(words: &[String]) -> String {
    let words = words.iter().map(|word| match shlex::try_quote(word) {
        Ok(word) => word.into_owned(),
        // Only a NUL cannot be quoted, and no file that is read here as text has one that matters.
        Err(_) => word.replace('\0', ""),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Sets `path` and `args`.
pub(crate) fn set(draft: &mut Draft, mut words: Vec<String>) {
    if words.is_empty() {
        return;
    }
    let program = words.remove(0);
    draft.set("path", program);
    if !words.is_empty() {
        draft.set("args", Value::List(words));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_runs_only_what_needs_one() {
        for (line, expected) in [
            ("bin/web --port 80", vec!["bin/web", "--port", "80"]),
            ("web 'two words'", vec!["web", "two words"]),
            ("web -p $PORT", vec!["/bin/sh", "-c", "exec web -p $PORT"]),
            ("a && b", vec!["/bin/sh", "-c", "a && b"]),
            ("A=1 web", vec!["/bin/sh", "-c", "A=1 web"]),
            ("exec web", vec!["/bin/sh", "-c", "exec web"]),
            (
                "web \"unclosed",
                vec!["/bin/sh", "-c", "exec web \"unclosed"],
            ),
        ] {
            assert_eq!(of_shell_line(line), expected, "{line}");
        }
    }

    #[test]
    fn several_commands_become_one_line() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let both = all_of(&[
            words("mkdir -p a"),
            vec!["touch".to_owned(), "a b".to_owned()],
        ]);
        assert_eq!(both, ["/bin/sh", "-c", "mkdir -p a && touch 'a b'"]);
    }
}
