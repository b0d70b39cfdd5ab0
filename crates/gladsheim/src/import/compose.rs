//! process-compose.yaml: each process becomes a service.

mod probe;

use std::time::Duration;

use saphyr::{LoadableYamlNode as _, MarkedYaml, Scalar, YamlData};

use super::{
    Fault, Source,
    command::{self, by_shell},
    draft::{Draft, Sheet, Value},
    measure,
};

pub(super) fn read(source: &Source, sheet: &mut Sheet) -> Result<(), Fault> {
    let documents = MarkedYaml::load_from_str(&source.text).map_err(|error| {
        Fault::at(
            error.marker().line(),
            format!("is no YAML: {}", error.info()),
        )
    })?;
    let Some(root) = documents.first() else {
        return Err(Fault::whole("is empty"));
    };
    let root = Node(root);
    let processes = root
        .get("processes")
        .ok_or_else(|| Fault::whole("has no `processes`"))?;
    for (key, node) in root.pairs() {
        match key.as_str() {
            "processes" | "version" | "environment" | "vars" | "is_strict" => {}
            "log_location" | "log_level" | "log_configuration" | "log_length" => {
                sheet.remark(format!(
                    "{key} (line {}): output is kept below `state_dir`",
                    node.line()
                ));
            }
            _ => sheet.remark(format!("{key} (line {})", node.line())),
        }
    }
    for (name, process) in processes.pairs() {
        let replicas = process
            .get("replicas")
            .and_then(|node| node.integer())
            .unwrap_or(1)
            .clamp(1, 1000);
        for number in 0..replicas {
            let name = if replicas > 1 {
                format!("{name}-{number}")
            } else {
                name.clone()
            };
            let mut draft = Draft::new(&name);
            if let Some(variables) = root.get("environment") {
                environment(&mut draft, "environment", variables);
            }
            if replicas > 1 {
                draft.set_variable("PC_REPLICA_NUM", &number.to_string());
            }
            service(&mut draft, process, source)?;
            sheet.add(draft);
        }
    }
    Ok(())
}

fn service(draft: &mut Draft, process: Node<'_>, source: &Source) -> Result<(), Fault> {
    draft.set("restart.policy", "never");
    if source.elsewhere {
        draft.set("working_dir", source.path("."));
    }
    for (key, node) in process.pairs() {
        let text = node.text();
        match (key.as_str(), text.as_deref()) {
            ("command", Some(line)) => command::set(draft, command::of_shell_line(line)),
            ("entrypoint", _) if node.is_list() => command::set(draft, node.items()),
            ("working_dir", Some(folder)) => draft.set("working_dir", source.path(folder)),
            ("description", Some(text)) => draft.about = Some(text.to_owned()),
            ("namespace", Some(text)) => draft.set_metadata("namespace", text),
            ("environment", _) => environment(draft, &key, node),
            ("env_file", Some(file)) => draft.set("env_file", source.path(file)),
            ("disabled", Some("true")) => draft.set("autostart", false),
            ("disabled" | "replicas" | "disable_ansi_colors" | "is_foreground", _) => {}
            ("log_location" | "log_configuration", _) => {
                draft.remark(format!(
                    "{}: output is captured, see `gladsheim logs`",
                    place(&key, node)
                ));
            }
            ("ready_log_line", Some(line)) => draft.set("ready", format!("log:{}", literal(line))),
            ("depends_on", _) => depends_on(draft, node),
            ("availability", _) => availability(draft, node),
            ("shutdown", _) => shutdown(draft, node),
            ("readiness_probe", _) => probe::read(draft, "readiness", node),
            ("liveness_probe", _) => probe::read(draft, "health", node),
            _ => draft.remark(place(&key, node)),
        }
    }
    if draft.get("readiness.http").is_some() || draft.get("readiness.exec").is_some() {
        draft.set("ready", "health");
    }
    if draft.get("path").is_none() {
        let message = format!("the process {} has no command", draft.name);
        return Err(Fault::at(process.line(), message));
    }
    from_working_dir(draft);
    Ok(())
}

/// A relative program is meant from the working folder: there, and only there, a shell looks for it.
fn from_working_dir(draft: &mut Draft) {
    let (Some(Value::Text(path)), Some(Value::Text(_))) =
        (draft.get("path"), draft.get("working_dir"))
    else {
        return;
    };
    if !path.contains('/') || path.starts_with('/') {
        return;
    }
    let mut words = vec![path.clone()];
    if let Some(Value::List(args)) = draft.get("args") {
        words.extend(args.iter().cloned());
    }
    command::set(
        draft,
        by_shell(&format!("exec {}", command::quoted(&words))),
    );
}

/// A list of `K=V`, or a table.
fn environment(draft: &mut Draft, key: &str, node: Node<'_>) {
    for (name, value) in node.pairs() {
        draft.set_variable(&name, &value.text().unwrap_or_default());
    }
    for item in node.items() {
        match item.split_once('=') {
            Some((_, value)) if value.contains('$') => {
                draft.remark(format!(
                    "{}: {item}: variables are not expanded here",
                    place(key, node)
                ));
            }
            Some((name, value)) => draft.set_variable(name, value),
            None => draft.remark(format!("{}: {item} is not K=V", place(key, node))),
        }
    }
}

fn depends_on(draft: &mut Draft, node: Node<'_>) {
    for (other, need) in node.pairs() {
        let condition = need.get("condition").and_then(|condition| condition.text());
        let condition = match condition.as_deref() {
            Some("process_healthy" | "process_log_ready") => "ready",
            Some("process_completed_successfully") => "completed",
            Some("process_completed") => {
                draft.remark(format!(
                    "{}: process_completed also after a failure; `completed` wants a success",
                    place("depends_on", need)
                ));
                "completed"
            }
            _ => "started",
        };
        draft.need(&other, condition, true);
    }
}

fn availability(draft: &mut Draft, node: Node<'_>) {
    for (key, node) in node.pairs() {
        let text = node.text().unwrap_or_default();
        match (key.as_str(), text.as_str(), node.integer()) {
            ("restart", "always", _) => draft.set("restart.policy", "always"),
            ("restart", "on_failure", _) => draft.set("restart.policy", "on-failure"),
            ("restart", "no" | "false", _) => draft.set("restart.policy", "never"),
            ("backoff_seconds", _, Some(seconds)) => {
                draft.set("restart.backoff", seconds_of(seconds));
                draft.set("restart.backoff_factor", 1.0);
            }
            ("max_restarts", _, Some(times)) => draft.set("restart.max_attempts", times.max(0)),
            _ => draft.remark(format!(
                "{} = {text}",
                place(&format!("availability.{key}"), node)
            )),
        }
    }
    // Theirs are without limit unless they say one.
    if draft.get("restart.policy") != Some(&"never".into())
        && draft.get("restart.max_attempts").is_none()
    {
        draft.set("restart.max_attempts", 0);
    }
}

fn shutdown(draft: &mut Draft, node: Node<'_>) {
    for (key, node) in node.pairs() {
        match (key.as_str(), node.integer()) {
            ("signal", Some(number)) => match nix::sys::signal::Signal::try_from(number as i32) {
                Ok(signal) => draft.set("stop_signal", signal.as_str()),
                Err(_) => draft.remark(format!("{} = {number}", place("shutdown.signal", node))),
            },
            ("timeout_seconds", Some(seconds)) => {
                draft.set("shutdown_timeout", seconds_of(seconds))
            }
            _ => draft.remark(place(&format!("shutdown.{key}"), node)),
        }
    }
}

fn seconds_of(seconds: i64) -> String {
    measure::duration(Duration::from_secs(seconds.max(0).unsigned_abs()))
}

/// Where a setting stands.
fn place(key: &str, node: Node<'_>) -> String {
    format!("{key} (line {})", node.line())
}

/// The text as a regular expression that matches just it.
fn literal(text: &str) -> String {
    let mut pattern = String::new();
    for c in text.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// A value in the file.
#[derive(Debug, Clone, Copy)]
struct Node<'a>(&'a MarkedYaml<'a>);

impl<'a> Node<'a> {
    /// Counted from 1.
    fn line(self) -> usize {
        self.0.span.start.line()
    }

    fn pairs(self) -> Vec<(String, Node<'a>)> {
        match &self.0.data {
            YamlData::Mapping(pairs) => {
                let pairs = pairs
                    .iter()
                    .map(|(key, value)| Some((Node(key).text()?, Node(value))));
                pairs.flatten().collect()
            }
            _ => Vec::new(),
        }
    }

    fn get(self, wanted: &str) -> Option<Node<'a>> {
        self.pairs()
            .into_iter()
            .find(|(key, _)| key == wanted)
            .map(|(_, value)| value)
    }

    fn is_list(self) -> bool {
        matches!(self.0.data, YamlData::Sequence(_))
    }

    fn items(self) -> Vec<String> {
        match &self.0.data {
            YamlData::Sequence(items) => {
                items.iter().filter_map(|item| Node(item).text()).collect()
            }
            _ => Vec::new(),
        }
    }

    fn text(self) -> Option<String> {
        match &self.0.data {
            YamlData::Value(Scalar::String(text)) => Some(text.to_string()),
            YamlData::Value(Scalar::Integer(number)) => Some(number.to_string()),
            YamlData::Value(Scalar::FloatingPoint(number)) => Some(number.to_string()),
            YamlData::Value(Scalar::Boolean(value)) => Some(value.to_string()),
            _ => None,
        }
    }

    fn integer(self) -> Option<i64> {
        match &self.0.data {
            YamlData::Value(Scalar::Integer(number)) => Some(*number),
            _ => self.text()?.parse().ok(),
        }
    }
}
