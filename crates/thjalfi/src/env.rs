//! The environment of a service: the daemon's, then the file, then the options.

use std::{
    collections::BTreeMap,
    ffi::{CString, OsString},
    fs,
    os::unix::ffi::OsStringExt,
    path::Path,
};

use crate::{
    StartOptions,
    error::{SpawnError, Stage},
};

/// What the daemon's own supervisor told it and nobody else.
const OWN: [&str; 6] = [
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// `KEY=VALUE` strings, later sources over earlier ones; `extra` is the loader's own and comes last.
pub(crate) fn environment(
    options: &StartOptions,
    extra: &[(String, String)],
) -> Result<Vec<CString>, SpawnError> {
    let mut all: BTreeMap<OsString, OsString> = BTreeMap::new();
    if !options.clear_env {
        all.extend(std::env::vars_os().filter(|(key, _)| !OWN.iter().any(|own| key == own)));
    }
    if let Some(path) = &options.env_file {
        all.extend(read_file(path)?);
    }
    let extra = extra.iter().map(|(key, value)| (key, value));
    for (key, value) in options.env_vars.iter().chain(extra) {
        all.insert(key.into(), value.into());
    }
    all.into_iter()
        .map(|(key, value)| {
            let mut line = key.clone().into_vec();
            line.push(b'=');
            line.extend(value.into_vec());
            CString::new(line).map_err(|_| {
                let key = key.to_string_lossy();
                SpawnError::invalid(Stage::Options, format!("env {key}"), "contains a NUL byte")
            })
        })
        .collect()
}

fn read_file(path: &Path) -> Result<Vec<(OsString, OsString)>, SpawnError> {
    let subject = path.display().to_string();
    let text = fs::read_to_string(path)
        .map_err(|source| SpawnError::new(Stage::EnvFile, subject.clone(), source))?;
    parse(&text).map_err(|line| {
        SpawnError::invalid(
            Stage::EnvFile,
            format!("{subject}:{line}"),
            "is not KEY=VALUE",
        )
    })
}

/// Reads `KEY=VALUE` lines; the error is the number of the first line that is none.
fn parse(text: &str) -> Result<Vec<(OsString, OsString)>, usize> {
    let lines = text.lines().map(str::trim).enumerate();
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(index, line)| {
            let line = line.strip_prefix("export ").unwrap_or(line);
            match line.split_once('=') {
                Some((key, value)) if !key.trim().is_empty() => {
                    Ok((key.trim().into(), unquoted(value.trim()).into()))
                }
                Some(_) | None => Err(index + 1),
            }
        })
        .collect()
}

fn unquoted(value: &str) -> &str {
    ['"', '\'']
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn lines_comments_exports_and_quotes_are_understood() {
        let text = "# note\n\nA=1\nexport B = \"two words\"\nC='x=y'\nD=\nE=it's\n";
        let parsed = parse(text).unwrap();
        let expected = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "x=y"),
            ("D", ""),
            ("E", "it's"),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect();
        assert_eq!(parsed, expected);
    }

    #[test]
    fn a_line_that_is_no_assignment_is_named_by_number() {
        assert_eq!(parse("A=1\nnonsense\n"), Err(2));
        assert_eq!(parse("=1"), Err(1));
    }
}
