//! The settings of a unit, one by one.

use super::{Gathered, Need, exec::Exec};
use crate::{
    hall::is_capability,
    import::{
        draft::{Draft, Value},
        ini::Entry,
        measure,
    },
};

/// Takes one setting over, or says that it cannot be.
pub(super) fn read(draft: &mut Draft, gathered: &mut Gathered, entry: &Entry) {
    let carried = match entry.section.as_str() {
        "Unit" => unit(draft, gathered, entry),
        "Service" => service(draft, gathered, entry),
        // When it is started is the hall's matter.
        "Install" => Carried::Yes,
        _ => Carried::No,
    };
    let Entry {
        key, value, line, ..
    } = entry;
    let short: String = value.chars().take(60).collect();
    match carried {
        Carried::Yes => {}
        Carried::No => draft.remark(format!("{key}={short} (line {line})")),
        Carried::Differently(how) => draft.remark(format!("{key}={short} (line {line}): {how}")),
    }
}

/// What became of a setting.
enum Carried {
    Yes,
    No,
    /// Not, but there is something to say about it.
    Differently(&'static str),
}

impl From<bool> for Carried {
    fn from(carried: bool) -> Self {
        if carried { Self::Yes } else { Self::No }
    }
}

fn unit(draft: &mut Draft, gathered: &mut Gathered, entry: &Entry) -> Carried {
    let value = entry.value.as_str();
    match entry.key.as_str() {
        "Description" => draft.about = Some(value.to_owned()),
        "Documentation" | "DefaultDependencies" | "Before" | "SourcePath" => {}
        "Requires" | "BindsTo" | "Requisite" => need(gathered, value, true),
        "Wants" | "After" | "Upholds" => need(gathered, value, false),
        "StartLimitIntervalSec" | "StartLimitInterval" | "StartLimitBurst" => {
            return start_limit(draft, entry);
        }
        "Conflicts" | "PartOf" | "OnFailure" | "OnSuccess" | "RequiresMountsFor"
        | "StopWhenUnneeded" => {
            return Carried::No;
        }
        key if key.starts_with("Condition") || key.starts_with("Assert") => {
            return Carried::Differently("it is started in any case");
        }
        _ => return Carried::No,
    }
    Carried::Yes
}

fn need(gathered: &mut Gathered, value: &str, required: bool) {
    for unit in value.split_whitespace() {
        gathered.needs.push(Need {
            unit: unit.to_owned(),
            required,
        });
    }
}

fn service(draft: &mut Draft, gathered: &mut Gathered, entry: &Entry) -> Carried {
    let value = entry.value.as_str();
    match entry.key.as_str() {
        "Type" => return kind(draft, gathered, value),
        "ExecStart" => return exec(draft, &mut gathered.start, value),
        "ExecStartPre" | "ExecCondition" => return exec(draft, &mut gathered.pre_start, value),
        "ExecStopPost" => return exec(draft, &mut gathered.post_stop, value),
        "ExecStop" => return Carried::Differently("it is stopped by stop_signal"),
        "ExecReload" => return Carried::Differently("`gladsheim signal NAME HUP` sends a signal"),
        "Restart" => return restart(draft, gathered, value),
        "RestartSec" => {
            draft.set("restart.backoff_factor", 1.0);
            return time(draft, "restart.backoff", value);
        }
        "StartLimitInterval" | "StartLimitBurst" => return start_limit(draft, entry),
        "SuccessExitStatus" => return success(draft, value),
        "TimeoutStartSec" => return time(draft, "startup_timeout", value),
        "TimeoutStopSec" => return time(draft, "shutdown_timeout", value),
        "TimeoutSec" => {
            time(draft, "startup_timeout", value);
            return time(draft, "shutdown_timeout", value);
        }
        "WatchdogSec" if value == "0" => {}
        "WatchdogSec" => return time(draft, "watchdog", value),
        "KillSignal" => draft.set("stop_signal", value),
        "KillMode" if matches!(value, "control-group" | "mixed") => {}
        "KillMode" => return Carried::Differently("the whole tree of processes is stopped"),
        "User" => draft.set("user", value),
        "Group" => draft.set("group", value),
        "UMask" => draft.set("umask", format!("{:0>3}", value.trim_start_matches('0'))),
        "WorkingDirectory" if value.contains('~') => return Carried::No,
        "WorkingDirectory" => draft.set("working_dir", value.trim_start_matches('-')),
        "Environment" => return environment(draft, value),
        "EnvironmentFile" => return environment_file(draft, value),
        "Nice" => return integer(draft, "nice", value),
        "OOMScoreAdjust" => return integer(draft, "oom_score_adj", value),
        "NoNewPrivileges" => {
            return boolean(value)
                .map(|on| draft.set("no_new_privs", on))
                .is_some()
                .into();
        }
        "AmbientCapabilities" => return capabilities(draft, value),
        "MemoryMax" | "MemoryLimit" => return size(draft, "limits.memory", value),
        "MemoryHigh" => return size(draft, "limits.memory_high", value),
        "TasksMax" => return integer(draft, "limits.pids", value),
        "CPUQuota" => return cpu_quota(draft, value),
        "OOMPolicy" if matches!(value, "stop" | "continue") => draft.set("limits.oom", value),
        "StandardOutput" | "StandardError" | "StandardInput" | "SyslogIdentifier" => {
            return match value {
                "journal" | "inherit" | "null" => Carried::Yes,
                _ if entry.key == "SyslogIdentifier" => Carried::Yes,
                _ => Carried::Differently("output is captured, see `gladsheim logs`"),
            };
        }
        "PIDFile" | "GuessMainPID" => {
            return Carried::Differently("the process that is started is the service");
        }
        "RemainAfterExit" => {
            return Carried::Differently("once it has ended it counts as stopped; see `completed`");
        }
        "NotifyAccess" => return Carried::Differently("every process of the service may notify"),
        "RuntimeDirectory"
        | "StateDirectory"
        | "CacheDirectory"
        | "LogsDirectory"
        | "ConfigurationDirectory" => {
            return Carried::Differently("the folder must be there already; pre_start can make it");
        }
        key => return rlimit(draft, key, value),
    }
    Carried::Yes
}

fn kind(draft: &mut Draft, gathered: &mut Gathered, value: &str) -> Carried {
    match value {
        "simple" | "exec" | "idle" => {}
        "notify" | "notify-reload" => draft.set("ready", "notify"),
        "oneshot" => gathered.oneshot = true,
        "forking" => {
            return Carried::Differently(
                "the program must stay in the foreground: most have a flag for it, else it counts as ended",
            );
        }
        _ => return Carried::No,
    }
    Carried::Yes
}

fn exec(draft: &mut Draft, commands: &mut Vec<Exec>, value: &str) -> Carried {
    match Exec::parse(value) {
        Some((command, remarks)) => {
            commands.push(command);
            for remark in remarks {
                draft.remark(remark);
            }
        }
        // An empty one takes back those before it.
        None => commands.clear(),
    }
    Carried::Yes
}

fn restart(draft: &mut Draft, gathered: &mut Gathered, value: &str) -> Carried {
    gathered.restarts = value != "no";
    let policy = match value {
        "no" | "on-success" => "never",
        "always" => "always",
        _ => "on-failure",
    };
    draft.set("restart.policy", policy);
    match value {
        "no" | "always" | "on-failure" => Carried::Yes,
        "on-success" => Carried::Differently("it is not started again"),
        _ => Carried::Differently("it is started again after every failure"),
    }
}

/// So many starts in so long; the first start is no restart.
fn start_limit(draft: &mut Draft, entry: &Entry) -> Carried {
    if entry.key != "StartLimitBurst" {
        return match measure::time_span(&entry.value) {
            Some(span) if span.is_zero() => {
                draft.set("restart.max_attempts", 0);
                Carried::Yes
            }
            _ => time(draft, "restart.window", &entry.value),
        };
    }
    match entry.value.parse::<i64>() {
        // Without an interval there is no limit.
        Ok(_) if draft.get("restart.max_attempts") == Some(&0.into()) => Carried::Yes,
        Ok(starts @ 2..) => {
            draft.set("restart.max_attempts", starts - 1);
            Carried::Yes
        }
        _ => Carried::No,
    }
}

/// Exit codes; names and signals are not.
fn success(draft: &mut Draft, value: &str) -> Carried {
    let codes: Vec<_> = value
        .split_whitespace()
        .map(|code| code.parse::<u8>().map(i64::from))
        .collect();
    let numbers =
        std::iter::once(0).chain(codes.iter().filter_map(|code| code.as_ref().ok().copied()));
    let mut numbers: Vec<_> = numbers.collect();
    numbers.dedup();
    draft.set("restart.success_exit_codes", Value::Integers(numbers));
    codes.iter().all(Result::is_ok).into()
}

fn time(draft: &mut Draft, key: &str, value: &str) -> Carried {
    match measure::time_span(value) {
        Some(span) if !span.is_zero() || key == "restart.backoff" => {
            draft.set(key, measure::duration(span));
            Carried::Yes
        }
        _ => Carried::No,
    }
}

fn size(draft: &mut Draft, key: &str, value: &str) -> Carried {
    if value == "infinity" {
        return Carried::Yes;
    }
    measure::size(value)
        .map(|size| draft.set(key, size))
        .is_some()
        .into()
}

fn integer(draft: &mut Draft, key: &str, value: &str) -> Carried {
    match value {
        "infinity" => Carried::Yes,
        _ => value
            .parse::<i64>()
            .map(|number| draft.set(key, number))
            .is_ok()
            .into(),
    }
}

fn boolean(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" | "1" => Some(true),
        "no" | "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// Percent of one CPU.
fn cpu_quota(draft: &mut Draft, value: &str) -> Carried {
    let percent = value
        .strip_suffix('%')
        .and_then(|number| number.trim().parse::<f64>().ok());
    percent
        .map(|percent| draft.set("limits.cpus", percent / 100.0))
        .is_some()
        .into()
}

fn environment(draft: &mut Draft, value: &str) -> Carried {
    let words = shlex::split(value);
    let pairs: Option<Vec<_>> = words
        .as_ref()
        .map(|words| {
            words
                .iter()
                .map(|word| word.split_once('='))
                .collect::<Option<_>>()
        })
        .unwrap_or_default();
    for (name, value) in pairs.iter().flatten() {
        draft.set_variable(name, value);
    }
    pairs.is_some().into()
}

/// A hall file has one, and it must be there.
fn environment_file(draft: &mut Draft, value: &str) -> Carried {
    let file = value.trim_start_matches('-');
    if draft.get("env_file").is_some() {
        return Carried::Differently("a service has one env_file");
    }
    if value.starts_with('-') && !std::path::Path::new(file).exists() {
        return Carried::Differently("it is optional, and not there");
    }
    draft.set("env_file", file);
    Carried::Yes
}

fn capabilities(draft: &mut Draft, value: &str) -> Carried {
    let names: Vec<_> = value.split_whitespace().map(str::to_owned).collect();
    let known = names.iter().all(|name| is_capability(name));
    if known {
        draft.set("capabilities", names);
    }
    known.into()
}

/// `LimitNOFILE=1024:4096`: the hard one holds for both.
fn rlimit(draft: &mut Draft, key: &str, value: &str) -> Carried {
    let Some(name) = key.strip_prefix("Limit") else {
        return sandbox(key, value);
    };
    let hard = value.rsplit(':').next().unwrap_or(value).trim();
    let limit = match hard {
        "infinity" => Some(Value::from("unlimited")),
        _ => number(hard).map(Value::from),
    };
    let Some(limit) = limit else {
        return Carried::No;
    };
    let mut limits = match draft.get("rlimits") {
        Some(Value::Table(limits)) => limits.clone(),
        _ => Vec::new(),
    };
    limits.push((name.to_ascii_lowercase(), limit));
    draft.set("rlimits", Value::Table(limits));
    Carried::Yes
}

/// A bare number, or one with a suffix in powers of 1024.
fn number(text: &str) -> Option<i64> {
    let (digits, shift) = match text.strip_suffix(['K', 'M', 'G']) {
        Some(digits) if text.ends_with('K') => (digits, 10),
        Some(digits) if text.ends_with('M') => (digits, 20),
        Some(digits) => (digits, 30),
        None => (text, 0),
    };
    digits.parse::<i64>().ok()?.checked_mul(1 << shift)
}

fn sandbox(key: &str, value: &str) -> Carried {
    const PREFIXES: [&str; 9] = [
        "Protect",
        "Private",
        "Restrict",
        "SystemCall",
        "ReadOnly",
        "ReadWrite",
        "Inaccessible",
        "Lock",
        "Device",
    ];
    if PREFIXES.iter().any(|prefix| key.starts_with(prefix)) || key == "MemoryDenyWriteExecute" {
        if boolean(value) == Some(false) {
            return Carried::Yes;
        }
        return Carried::Differently(
            "Gladsheim has no sandbox of its own; bwrap can be put before the program",
        );
    }
    Carried::No
}
