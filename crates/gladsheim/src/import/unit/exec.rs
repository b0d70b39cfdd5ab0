//! Command lines of units: prefixes, variables, quoting.

use super::{
    Draft,
    command::{by_shell, quoted},
};

/// One command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exec {
    words: Vec<String>,
    /// `-`: a failure counts as success.
    may_fail: bool,
    /// `:` leaves `$` alone.
    verbatim: bool,
}

impl Exec {
    /// Reads a line; none if it has no words. `@`, `+` and `!` ask for what has no counterpart, and are told of.
    pub(super) fn parse(line: &str) -> Option<(Self, Vec<&'static str>)> {
        let mut rest = line.trim();
        let (mut may_fail, mut verbatim, mut other_name) = (false, false, false);
        let mut remarks = Vec::new();
        while let Some(prefix) = rest.chars().next().filter(|c| "-:@+!|".contains(*c)) {
            rest = &rest[1..];
            match prefix {
                '-' => may_fail = true,
                ':' => verbatim = true,
                '@' => other_name = true,
                '+' | '!' => remarks
                    .push("`+` and `!` (with full privileges): it runs as the service's user"),
                _ => remarks.push("`|` (by the user's shell): it runs directly"),
            }
        }
        // The quoting is a shell's, but for the escapes of C, which no unit of a package was seen to use.
        let mut words = shlex::split(rest)
            .unwrap_or_else(|| rest.split_whitespace().map(str::to_owned).collect());
        if other_name && words.len() > 1 {
            remarks.push("`@` (another argv[0]): it is called by its own name");
            words.remove(1);
        }
        let exec = Self {
            words,
            may_fail,
            verbatim,
        };
        (!exec.words.is_empty()).then_some((exec, remarks))
    }

    /// For the service itself, whose end a shell behind it must not gloss over.
    pub(super) fn for_good(self, draft: &mut Draft) -> Self {
        if self.may_fail {
            draft.remark("`-` before ExecStart: a failure is one");
        }
        Self {
            may_fail: false,
            ..self
        }
    }

    /// As a hall file has it, where `$` is not expanded: a shell has to, where systemd does.
    pub(super) fn words(self) -> Vec<String> {
        let expands = !self.verbatim && self.words.iter().any(|word| is_expanded(word));
        if expands {
            let words: Vec<_> = self.words.iter().map(|word| with_variables(word)).collect();
            return self.by_shell(&words.join(" "));
        }
        let literal = |word: &String| match self.verbatim {
            true => word.clone(),
            false => word.replace("$$", "$"),
        };
        let words: Vec<_> = self.words.iter().map(literal).collect();
        match self.may_fail {
            true => self.by_shell(&quoted(&words)),
            false => words,
        }
    }

    fn by_shell(&self, line: &str) -> Vec<String> {
        by_shell(&match self.may_fail {
            true => format!("{line} || true"),
            false => format!("exec {line}"),
        })
    }
}

/// Whether it is a bare `$NAME`, which is split into words.
fn is_variable(word: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name = word.strip_prefix('$');
    name.is_some_and(|name| !name.is_empty() && name.chars().all(is_name))
}

/// Whether systemd expands something in it: a bare `$NAME`, or `${NAME}` wherever it stands.
fn is_expanded(word: &str) -> bool {
    is_variable(word) || word.replace("$$", "").contains("${")
}

/// A word for a shell with just that left to be expanded which systemd expands.
fn with_variables(word: &str) -> String {
    if is_variable(word) {
        return word.to_owned();
    }
    if !is_expanded(word) {
        return quoted(&[word.replace("$$", "$")]);
    }
    let mut out = String::from("\"");
    let mut rest = word;
    while let Some(c) = rest.chars().next() {
        if let Some(tail) = rest.strip_prefix("$$") {
            out.push_str("\\$");
            rest = tail;
            continue;
        }
        let literal = matches!(c, '"' | '`' | '\\') || (c == '$' && !rest.starts_with("${"));
        if literal {
            out.push('\\');
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        Exec::parse(line).expect("has words").0.words()
    }

    #[test]
    fn only_variables_and_leniency_need_a_shell() {
        for (line, expected) in [
            ("/usr/sbin/cron -f", vec!["/usr/sbin/cron", "-f"]),
            (
                "/usr/sbin/cron -f $OPTS",
                vec!["/bin/sh", "-c", "exec /usr/sbin/cron -f $OPTS"],
            ),
            (
                "/bin/a ${X}/b",
                vec!["/bin/sh", "-c", "exec /bin/a \"${X}/b\""],
            ),
            (":/bin/a ${X}", vec!["/bin/a", "${X}"]),
            (
                "-/bin/rm 'a b'",
                vec!["/bin/sh", "-c", "/bin/rm 'a b' || true"],
            ),
            ("@/bin/a b c", vec!["/bin/a", "c"]),
            (
                "/bin/sh -c 'echo $x $$'",
                vec!["/bin/sh", "-c", "echo $x $"],
            ),
            (
                "/bin/sh -c '${A} `b` $x' $$",
                vec!["/bin/sh", "-c", "exec /bin/sh -c \"${A} \\`b\\` \\$x\" '$'"],
            ),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
    }
}
