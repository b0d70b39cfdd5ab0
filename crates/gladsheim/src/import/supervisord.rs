//! supervisord.conf: each `[program:x]` becomes a service, or several where `numprocs` says so.

use super::{
    Fault, Source, command,
    draft::{Draft, Sheet, Value},
    ini::{self, Dialect, Entry},
    measure,
};

/// What a program can say in text: `%(program_name)s` and the like.
struct Expansion<'a> {
    program: &'a str,
    number: usize,
    numprocs: usize,
    here: &'a str,
}

pub(super) fn read(source: &Source, sheet: &mut Sheet) -> Result<(), Fault> {
    let mut entries = ini::read(&source.text, Dialect::Supervisord)?;
    include(source, &mut entries)?;
    let mut sections: Vec<&str> = Vec::new();
    for entry in &entries {
        if !sections.contains(&&*entry.section) {
            sections.push(&entry.section);
        }
    }
    for section in &sections {
        let of_section = entries.iter().filter(|entry| entry.section == *section);
        let settings: Vec<_> = of_section.collect();
        match section.split_once(':') {
            Some(("program" | "fcgi-program", program)) => {
                programs(program, section, &settings, source, sheet)?;
            }
            Some(("group", _)) => {}
            _ => other(section, &settings, sheet),
        }
    }
    groups(&entries, sheet);
    Ok(())
}

/// The files that `[include]` names, behind the file's own settings.
fn include(source: &Source, entries: &mut Vec<Entry>) -> Result<(), Fault> {
    let named: Vec<_> = entries
        .iter()
        .filter(|entry| entry.section == "include" && entry.key == "files")
        .flat_map(|entry| {
            entry
                .value
                .split_whitespace()
                .map(move |file| (entry.line, file.to_owned()))
        })
        .collect();
    for (line, pattern) in named {
        let pattern = pattern.replace("%(here)s", &source.folder.to_string_lossy());
        let pattern = source.folder.join(pattern);
        let files = glob::glob(&pattern.to_string_lossy())
            .map_err(|error| Fault::at(line, format!("{}: {error}", pattern.display())))?;
        for file in files.filter_map(Result::ok) {
            let text = std::fs::read_to_string(&file)
                .map_err(|error| Fault::at(line, format!("{}: {error}", file.display())))?;
            let included = ini::read(&text, Dialect::Supervisord).map_err(|fault| {
                Fault::at(line, format!("{}: {}", file.display(), fault.message))
            })?;
            entries.extend(included);
        }
    }
    Ok(())
}

/// A section that is no program.
fn other(section: &str, settings: &[&Entry], sheet: &mut Sheet) {
    let line = settings.first().map_or(0, |entry| entry.line);
    let why = match section {
        "include" => return,
        "unix_http_server" | "inet_http_server" | "supervisorctl" => {
            "Gladsheim has a control socket of its own, see `socket` and `[access]`"
        }
        "supervisord" => "how the daemon itself runs: see `state_dir` and the systemd unit",
        _ if section.starts_with("rpcinterface:") => "Gladsheim is asked by gRPC",
        _ if section.starts_with("eventlistener:") => {
            "a program can follow `gladsheim events -f --format json` instead"
        }
        _ => "unknown to Gladsheim",
    };
    sheet.remark(format!("[{section}] (line {line}): {why}"));
}

/// All services of one section.
fn programs(
    program: &str,
    section: &str,
    settings: &[&Entry],
    source: &Source,
    sheet: &mut Sheet,
) -> Result<(), Fault> {
    let value = |key: &str| {
        let found = settings.iter().rfind(|entry| entry.key == key);
        found.map(|entry| entry.value.as_str())
    };
    let numprocs: usize = value("numprocs")
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    let first: usize = value("numprocs_start")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let line = settings.first().map_or(0, |entry| entry.line);
    if value("command").is_none() {
        return Err(Fault::at(line, format!("[{section}] has no command")));
    }
    if numprocs > 1_000 {
        return Err(Fault::at(
            line,
            format!("[{section}] asks for {numprocs} processes"),
        ));
    }
    let here = source.folder.to_string_lossy();
    for number in first..first + numprocs {
        let expansion = Expansion {
            program,
            number,
            numprocs,
            here: &here,
        };
        let default = if numprocs > 1 {
            "%(program_name)s_%(process_num)02d"
        } else {
            "%(program_name)s"
        };
        let name = expansion.text(value("process_name").unwrap_or(default));
        let mut draft = Draft::new(&name);
        if numprocs > 1 {
            draft.set_metadata("program", program);
        }
        draft.set("restart.policy", "on-failure");
        for entry in settings {
            setting(&mut draft, entry, &expansion);
        }
        sheet.add(draft);
    }
    Ok(())
}

/// One setting of a program.
fn setting(draft: &mut Draft, entry: &Entry, expansion: &Expansion<'_>) {
    let Entry { key, line, .. } = entry;
    let value = expansion.text(&entry.value);
    let place = format!("{key} (line {line})");
    if key != "command" && value.contains("${") {
        draft.remark(format!(
            "{place} = {}: variables are not expanded here",
            entry.value
        ));
        return;
    }
    let carried = match key.as_str() {
        "command" => {
            command::set(draft, program(&value));
            true
        }
        "directory" => put(draft, "working_dir", Some(value.clone())),
        "user" => put(draft, "user", Some(value.clone())),
        "umask" => put(draft, "umask", Some(value.clone())),
        "autostart" => match boolean(&value) {
            Some(true) => true,
            autostart => put(draft, "autostart", autostart),
        },
        "autorestart" => match value.as_str() {
            "unexpected" => put(draft, "restart.policy", Some("on-failure")),
            text => put(
                draft,
                "restart.policy",
                boolean(text).map(|on| if on { "always" } else { "never" }),
            ),
        },
        "exitcodes" => match exit_codes(&value) {
            Some(codes) => {
                draft.set("restart.success_exit_codes", codes);
                true
            }
            None => false,
        },
        "startretries" => put(
            draft,
            "restart.max_attempts",
            value.parse::<i64>().ok().filter(|n| *n > 0),
        ),
        "startsecs" if value == "0" => true,
        "startsecs" => put(
            draft,
            "ready",
            measure::seconds(&value).map(|time| format!("delay:{time}")),
        ),
        "stopsignal" => put(
            draft,
            "stop_signal",
            Some(format!("SIG{}", value.trim_start_matches("SIG"))),
        ),
        "stopwaitsecs" => put(draft, "shutdown_timeout", measure::seconds(&value)),
        "environment" => environment(draft, &value),
        "stdout_logfile_maxbytes" => match value.as_str() {
            "0" => false,
            text => put(draft, "logs.max_size", measure::size(text)),
        },
        "stdout_logfile_backups" => put(
            draft,
            "logs.max_files",
            value.parse::<i64>().ok().map(|files| files.clamp(1, 1000)),
        ),
        // The whole tree is stopped in any case, both streams are kept, and these are said already.
        "stopasgroup"
        | "killasgroup"
        | "redirect_stderr"
        | "process_name"
        | "numprocs"
        | "numprocs_start"
        | "stderr_logfile_maxbytes"
        | "stderr_logfile_backups" => true,
        "stdout_logfile" | "stderr_logfile" => {
            if !matches!(value.as_str(), "AUTO" | "NONE" | "") {
                draft.remark(format!(
                    "{place} = {value}: output is captured, see `gladsheim logs {}`",
                    draft.name
                ));
            }
            true
        }
        "priority" => {
            draft.remark(format!(
                "{place} = {value}: say what a service needs by depends_on"
            ));
            true
        }
        _ => false,
    };
    if !carried {
        draft.remark(format!("{place} = {value}"));
    }
}

/// Sets a key, where there is a value for it.
fn put(draft: &mut Draft, key: &str, value: Option<impl Into<Value>>) -> bool {
    let is_there = value.is_some();
    if let Some(value) = value {
        draft.set(key, value);
    }
    is_there
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn exit_codes(text: &str) -> Option<Value> {
    let codes = text
        .split(',')
        .map(|code| code.trim().parse::<u8>().ok().map(i64::from));
    codes.collect::<Option<Vec<_>>>().map(Value::Integers)
}

/// supervisord splits as a shell does, and expands nothing but its own `%(…)s`.
fn program(text: &str) -> Vec<String> {
    let line = text.replace('\n', " ");
    match shlex::split(&line) {
        Some(words) if !words.is_empty() && !line.contains("${") => words,
        _ => command::by_shell(&format!("exec {line}")),
    }
}

/// `KEY="val",KEY2="val2"`.
fn environment(draft: &mut Draft, text: &str) -> bool {
    let mut rest = text.trim();
    while !rest.is_empty() {
        let Some((name, tail)) = rest.split_once('=') else {
            return false;
        };
        let tail = tail.trim_start();
        let (value, tail) = match tail.chars().next() {
            Some(quote @ ('"' | '\'')) => match tail[1..].split_once(quote) {
                Some(parts) => parts,
                None => return false,
            },
            _ => tail
                .split_once(',')
                .map_or((tail, ""), |(value, _)| (value, &tail[value.len()..])),
        };
        draft.set_variable(name.trim(), value.trim());
        rest = tail.trim_start().trim_start_matches(',').trim_start();
    }
    true
}

/// The groups' names go into the metadata: `gladsheim status --where group=web`.
fn groups(entries: &[Entry], sheet: &mut Sheet) {
    for entry in entries.iter().filter(|entry| entry.key == "programs") {
        let Some(group) = entry.section.strip_prefix("group:") else {
            continue;
        };
        for program in entry.value.split(',').map(str::trim) {
            let of_program = |draft: &&mut Draft| {
                draft.name == program || draft.get("metadata.program") == Some(&program.into())
            };
            for draft in sheet.services.iter_mut().filter(of_program) {
                draft.set_metadata("group", group);
            }
        }
    }
}

impl Expansion<'_> {
    /// The text with `%(…)s` replaced; a variable of supervisord's environment becomes one of a shell's.
    fn text(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, tail)) = rest.split_once("%(") {
            out.push_str(before);
            let Some((name, tail)) = tail.split_once(')') else {
                out.push_str("%(");
                rest = tail;
                continue;
            };
            // The conversion: `s`, `d`, `02d`.
            let end = tail
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(tail.len());
            let width: usize = tail[..end].parse().unwrap_or(0).min(32);
            let known = match name {
                "program_name" | "group_name" => self.program.to_owned(),
                "process_num" => format!("{:0width$}", self.number),
                "numprocs" => format!("{:0width$}", self.numprocs),
                "here" => self.here.to_owned(),
                _ => match name.strip_prefix("ENV_") {
                    Some(variable) => format!("${{{variable}}}"),
                    None => format!("%({name})s"),
                },
            };
            out.push_str(&known);
            rest = tail[end..].strip_prefix(['s', 'd']).unwrap_or(&tail[end..]);
        }
        out.push_str(rest);
        out.replace("%%", "%")
    }
}
