//! The difference of two definitions of one service, field by field.
//!
//! Every structure is taken apart without `..`, so that a new field does not compile before somebody has
//! said when a change of it takes effect.

use std::{
    collections::BTreeSet,
    fmt::Debug,
    time::{Duration, SystemTime},
};

use byggvir::{LimitPolicy, ResourceLimits, pressure::PressureLimits};
use roskva::{CheckOptions, MonitorOptions, RestartPolicy};
use thjalfi::{LogRotation, Readiness, Signal, StartOptions};

use super::{
    Effect::{self, Live, NextStart, Restart},
    FieldChange,
};
use crate::{Dependency, FileMarks, RestartGroup, ServiceDefinition};

/// The kernel dates a file by a clock that lags by up to one tick.
const TICK: Duration = Duration::from_millis(10);

/// Everything that differs, in the order of the hall file's documentation.
///
/// `started`: when the present run has begun, if one is known.
pub(super) fn between(
    old: &ServiceDefinition,
    new: &ServiceDefinition,
    started: Option<SystemTime>,
) -> Vec<FieldChange> {
    let mut changes = Changes(Vec::new());
    changes.definition(old, new);
    changes.files(old, new, started);
    changes.0
}

struct Changes(Vec<FieldChange>);

impl Changes {
    fn field<T: PartialEq + Debug>(
        &mut self,
        effect: Effect,
        field: impl Into<String>,
        old: &T,
        new: &T,
    ) {
        if old != new {
            self.0.push(FieldChange {
                field: field.into(),
                old: shown(old),
                new: shown(new),
                effect,
            });
        }
    }

    fn definition(&mut self, old: &ServiceDefinition, new: &ServiceDefinition) {
        let ServiceDefinition {
            // The same, or it would be another service.
            name: _,
            path,
            start,
            ready_by_health,
            autostart,
            depends_on,
            shutdown_timeout,
            essential,
            endpoints,
            monitor,
            limits,
            limit_policy,
            restart_group,
            metadata,
            // Apart from all that the definition itself says.
            files: _,
        } = new;
        self.field(Restart, "path", &old.path, path);
        self.start(&old.start, start);
        let ready = Words(ready(&start.readiness, *ready_by_health));
        let ready_before = Words(self::ready(&old.start.readiness, old.ready_by_health));
        self.field(NextStart, "ready", &ready_before, &ready);
        self.field(Live, "autostart", &old.autostart, autostart);
        let dependencies = |all: &[Dependency]| Words(all.iter().map(dependency).collect());
        self.field(
            Live,
            "depends_on",
            &dependencies(&old.depends_on),
            &dependencies(depends_on),
        );
        self.field(
            Live,
            "shutdown_timeout",
            &old.shutdown_timeout,
            shutdown_timeout,
        );
        self.field(Live, "essential", &old.essential, essential);
        self.field(Live, "endpoints", &old.endpoints, endpoints);
        let group =
            |group: &Option<RestartGroup>| Words(group.iter().map(ToString::to_string).collect());
        self.field(
            Live,
            "restart_group",
            &group(&old.restart_group),
            &group(restart_group),
        );
        self.monitor(&old.monitor, monitor);
        self.limits(&old.limits, limits);
        self.limit_policy(&old.limit_policy, limit_policy);
        self.field(Live, "metadata", &old.metadata, metadata);
    }

    /// The content of the files, where their names are the same as before.
    fn files(
        &mut self,
        old: &ServiceDefinition,
        new: &ServiceDefinition,
        started: Option<SystemTime>,
    ) {
        let FileMarks {
            env_file,
            program_changed,
        } = new.files;
        let since = |changed: SystemTime| started.is_some_and(|started| changed > started);
        if let (Some(before), Some(now)) = (old.files.env_file, env_file)
            && before.digest != now.digest
            && old.start.env_file == new.start.env_file
        {
            // A run that has begun after the change has read it.
            let is_read = started.is_some() && !since(now.changed + TICK);
            let (effect, now) = match is_read {
                true => (Live, "another content, which the present run has read"),
                false => (Restart, "another content"),
            };
            self.told(effect, "env_file", "as it was read", now);
        }
        // Nobody wants everything to restart because a package was upgraded.
        if program_changed.is_some_and(since) && old.path == new.path {
            self.told(
                NextStart,
                "path",
                "the program of the present run",
                "changed since",
            );
        }
    }

    fn told(&mut self, effect: Effect, field: &str, old: &str, new: &str) {
        self.0.push(FieldChange {
            field: field.to_owned(),
            old: old.to_owned(),
            new: new.to_owned(),
            effect,
        });
    }

    fn start(&mut self, old: &StartOptions, new: &StartOptions) {
        let StartOptions {
            env_vars,
            working_dir,
            args,
            // Those of the definition hold instead.
            resource_limits: _,
            startup_timeout,
            // Together with `ready_by_health`.
            readiness: _,
            stop_signal,
            env_file,
            clear_env,
            user,
            group,
            umask,
            nice,
            oom_score_adj,
            no_new_privs,
            capabilities,
            rlimits,
            sha256,
            pre_start,
            post_stop,
            log_rotation,
            sockets,
            watchdog,
        } = new;
        self.field(Restart, "args", &old.args, args);
        let names: BTreeSet<_> = old.env_vars.keys().chain(env_vars.keys()).collect();
        for name in names {
            self.variable(name, old.env_vars.get(name), env_vars.get(name));
        }
        self.field(Restart, "env_file", &old.env_file, env_file);
        self.field(Restart, "clear_env", &old.clear_env, clear_env);
        self.field(Restart, "working_dir", &old.working_dir, working_dir);
        self.field(Restart, "user", &old.user, user);
        self.field(Restart, "group", &old.group, group);
        let octal = |umask: &Option<u32>| Words(umask.iter().map(|u| format!("{u:03o}")).collect());
        self.field(Restart, "umask", &octal(&old.umask), &octal(umask));
        self.field(Restart, "nice", &old.nice, nice);
        self.field(Restart, "oom_score_adj", &old.oom_score_adj, oom_score_adj);
        self.field(Restart, "no_new_privs", &old.no_new_privs, no_new_privs);
        self.field(Restart, "capabilities", &old.capabilities, capabilities);
        self.field(Restart, "rlimits", &old.rlimits, rlimits);
        self.field(Restart, "sha256", &old.sha256, sha256);
        self.field(Restart, "sockets", &old.sockets, sockets);
        // The process learns it from its environment.
        self.field(Restart, "watchdog", &old.watchdog, watchdog);
        // What is decided when a run begins, and changes nothing about the process itself.
        self.field(
            NextStart,
            "startup_timeout",
            &old.startup_timeout,
            startup_timeout,
        );
        let name = |signal: Signal| Words(vec![signal.as_str().to_owned()]);
        self.field(
            NextStart,
            "stop_signal",
            &name(old.stop_signal),
            &name(*stop_signal),
        );
        self.field(NextStart, "pre_start", &old.pre_start, pre_start);
        self.field(NextStart, "post_stop", &old.post_stop, post_stop);
        let LogRotation {
            max_size,
            max_files,
        } = log_rotation;
        self.field(
            NextStart,
            "logs.max_size",
            &old.log_rotation.max_size,
            max_size,
        );
        self.field(
            NextStart,
            "logs.max_files",
            &old.log_rotation.max_files,
            max_files,
        );
    }

    /// Values may be secret: only whether there is one is told.
    fn variable(&mut self, name: &str, old: Option<&String>, new: Option<&String>) {
        if old != new {
            let (old, new) = match (old, new) {
                (Some(_), Some(_)) => ("set", "another value"),
                (Some(_), None) => ("set", "none"),
                (None, _) => ("none", "set"),
            };
            self.told(Restart, &format!("env.{name}"), old, new);
        }
    }

    fn monitor(&mut self, old: &MonitorOptions, new: &MonitorOptions) {
        let MonitorOptions {
            liveness,
            readiness,
            startup,
            restart,
            // That of the start's options holds instead.
            startup_timeout: _,
        } = new;
        self.check("health", Some(&old.liveness), Some(liveness));
        self.check("readiness", old.readiness.as_ref(), readiness.as_ref());
        self.check("startup", old.startup.as_ref(), startup.as_ref());
        self.restart(&old.restart, restart);
    }

    fn check(&mut self, section: &str, old: Option<&CheckOptions>, new: Option<&CheckOptions>) {
        let (Some(old), Some(new)) = (old, new) else {
            let strategy = |check: Option<&CheckOptions>| check.map(|check| check.strategy.clone());
            return self.field(Live, section, &strategy(old), &strategy(new));
        };
        let CheckOptions {
            strategy,
            interval,
            failure_threshold,
            success_threshold,
            start_period,
            shutdown_timeout,
        } = new;
        let key = |key| format!("{section}.{key}");
        self.field(Live, section, &old.strategy, strategy);
        self.field(Live, key("interval"), &old.interval, interval);
        self.field(
            Live,
            key("failure_threshold"),
            &old.failure_threshold,
            failure_threshold,
        );
        self.field(
            Live,
            key("success_threshold"),
            &old.success_threshold,
            success_threshold,
        );
        self.field(Live, key("start_period"), &old.start_period, start_period);
        self.field(
            Live,
            key("shutdown_timeout"),
            &old.shutdown_timeout,
            shutdown_timeout,
        );
    }

    fn restart(&mut self, old: &RestartPolicy, new: &RestartPolicy) {
        let RestartPolicy {
            mode,
            max_attempts,
            window,
            backoff,
            backoff_factor,
            backoff_max,
            jitter,
            reset_after,
            success_exit_codes,
        } = new;
        self.field(Live, "restart.policy", &kebab(&old.mode), &kebab(mode));
        self.field(
            Live,
            "restart.max_attempts",
            &old.max_attempts,
            max_attempts,
        );
        self.field(Live, "restart.window", &old.window, window);
        self.field(Live, "restart.backoff", &old.backoff, backoff);
        self.field(
            Live,
            "restart.backoff_factor",
            &old.backoff_factor,
            backoff_factor,
        );
        self.field(Live, "restart.backoff_max", &old.backoff_max, backoff_max);
        self.field(Live, "restart.jitter", &old.jitter, jitter);
        self.field(Live, "restart.reset_after", &old.reset_after, reset_after);
        self.field(
            Live,
            "restart.success_exit_codes",
            &old.success_exit_codes,
            success_exit_codes,
        );
    }

    fn limits(&mut self, old: &ResourceLimits, new: &ResourceLimits) {
        let ResourceLimits {
            max_memory_bytes,
            max_cpu_percent,
            memory_warning_percent,
            cpu_warning_percent,
        } = new;
        self.field(
            Live,
            "limits.memory",
            &old.max_memory_bytes,
            max_memory_bytes,
        );
        self.field(
            Live,
            "limits.cpu_percent",
            &old.max_cpu_percent,
            max_cpu_percent,
        );
        self.field(
            Live,
            "limits.memory_warning_percent",
            &old.memory_warning_percent,
            memory_warning_percent,
        );
        self.field(
            Live,
            "limits.cpu_warning_percent",
            &old.cpu_warning_percent,
            cpu_warning_percent,
        );
    }

    fn limit_policy(&mut self, old: &LimitPolicy, new: &LimitPolicy) {
        let LimitPolicy {
            action,
            pids,
            memory_high_bytes,
            oom,
            memory_advisory,
            cpu_advisory,
            pressure: PressureLimits { cpu, memory, io },
        } = new;
        self.field(Live, "limits.action", &kebab(&old.action), &kebab(action));
        self.field(Live, "limits.pids", &old.pids, pids);
        self.field(
            Live,
            "limits.memory_high",
            &old.memory_high_bytes,
            memory_high_bytes,
        );
        self.field(
            Live,
            "limits.memory_advisory",
            &old.memory_advisory,
            memory_advisory,
        );
        self.field(Live, "limits.cpu_advisory", &old.cpu_advisory, cpu_advisory);
        self.field(Live, "limits.oom", &kebab(&old.oom), &kebab(oom));
        self.field(Live, "limits.pressure.cpu", &old.pressure.cpu, cpu);
        self.field(Live, "limits.pressure.memory", &old.pressure.memory, memory);
        self.field(Live, "limits.pressure.io", &old.pressure.io, io);
    }
}

/// As `ready` is written in the hall file.
fn ready(readiness: &Readiness, by_health: bool) -> Vec<String> {
    let word = match readiness {
        _ if by_health => "health".to_owned(),
        Readiness::Exec => "none".to_owned(),
        Readiness::Notify => "notify".to_owned(),
        Readiness::Delay(time) => format!("delay:{time:?}"),
        Readiness::Log(pattern) => format!("log:{pattern}"),
        // The enum may grow in a later version of its crate.
        other => format!("{other:?}"),
    };
    vec![word]
}

fn dependency(dependency: &Dependency) -> String {
    let Dependency {
        service_name,
        condition,
        required,
    } = dependency;
    let soft = if *required { "" } else { ", not required" };
    format!("{service_name} ({}{soft})", condition.as_str())
}

/// Words that are shown without quotes, `none` without any.
#[derive(PartialEq)]
struct Words(Vec<String>);

impl Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        f.write_str(&self.0.join(", "))
    }
}

/// The hall file's word for a variant: `OnFailure` is `on-failure`.
fn kebab(variant: &impl Debug) -> Words {
    let mut word = String::new();
    for letter in format!("{variant:?}").chars() {
        if letter.is_ascii_uppercase() && !word.is_empty() {
            word.push('-');
        }
        word.push(letter.to_ascii_lowercase());
    }
    Words(vec![word])
}

/// A value for a person.
fn shown(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    match text
        .strip_prefix("Some(")
        .and_then(|text| text.strip_suffix(')'))
    {
        Some(inner) => inner.to_owned(),
        None if text == "None" => "none".to_owned(),
        None => text,
    }
}
