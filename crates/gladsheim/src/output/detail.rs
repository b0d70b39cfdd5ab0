//! One service at length: an object for programs, a page for people.

use std::time::Duration;

use gladsheim_proto::v1::{
    Dependency, LogLine, Process, ServiceDescription, ServiceStatus, StateChange,
};
use serde::Serialize;

use super::{
    Align, Cell, Output, Style, Table, bytes, explain, rfc3339, span,
    status::StatusDocument,
    text::{clip, harmless, wrap},
    tree::branches,
};

/// The JSON of one service that was named: its status, and how it came to that.
#[derive(Debug, Serialize)]
pub(crate) struct DetailDocument<'a> {
    #[serde(flatten)]
    status: StatusDocument<'a>,
    history: Vec<ChangeDocument<'a>>,
    processes: Vec<ProcessDocument<'a>>,
    depends_on: Vec<DependencyDocument<'a>>,
}

#[derive(Debug, Serialize)]
struct ChangeDocument<'a> {
    at: String,
    old_state: &'a str,
    new_state: &'a str,
    generation: u64,
    cause: Option<&'a str>,
    reason: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct ProcessDocument<'a> {
    process_id: u32,
    parent_process_id: u32,
    command: &'a str,
    memory_bytes: u64,
}

#[derive(Debug, Serialize)]
struct DependencyDocument<'a> {
    service_name: &'a str,
    condition: &'a str,
    required: bool,
}

impl<'a> DetailDocument<'a> {
    /// `status` is that of the description.
    pub(crate) fn new(description: &'a ServiceDescription, status: &'a ServiceStatus) -> Self {
        let change = |change: &'a StateChange| ChangeDocument {
            at: rfc3339(change.at_unix_ms),
            old_state: &change.old_state,
            new_state: &change.new_state,
            generation: change.generation,
            cause: change.cause.as_deref(),
            reason: change.reason.as_deref(),
        };
        let process = |process: &'a Process| ProcessDocument {
            process_id: process.process_id,
            parent_process_id: process.parent_process_id,
            command: &process.command,
            memory_bytes: process.memory_bytes,
        };
        let dependency = |dependency: &'a Dependency| DependencyDocument {
            service_name: &dependency.service_name,
            condition: &dependency.condition,
            required: !dependency.optional,
        };
        Self {
            status: StatusDocument::from(status),
            history: description.history.iter().map(change).collect(),
            processes: description.processes.iter().map(process).collect(),
            depends_on: description.depends_on.iter().map(dependency).collect(),
        }
    }
}

/// A page about one service, with its last lines.
pub(crate) fn page(
    description: &ServiceDescription,
    status: &ServiceStatus,
    lines: &[LogLine],
    now_unix_ms: i64,
    output: Output,
) -> String {
    let mut page = head(status, output);
    for (title, value) in facts(description, status, now_unix_ms) {
        page += &fact(title, &value, output);
    }
    let mut section = |title: &str, text: String| {
        if !text.is_empty() {
            let title = output.paint(Style::Bold, title);
            page += &format!("\n{title}\n{text}\n");
        }
    };
    section("PROCESSES", processes(&description.processes, output));
    section(
        "HISTORY",
        history(&description.history, now_unix_ms, output),
    );
    section("OUTPUT", last_lines(lines, output));
    page.truncate(page.trim_end().len());
    page
}

fn head(status: &ServiceStatus, output: Output) -> String {
    let state = Style::of_state(&status.state);
    let health = Style::of_health(&status.health);
    let mark = output.paint(state, if status.process_id == 0 { "○" } else { "●" });
    let name = output.paint(Style::Bold, &status.service_name);
    let mut head = format!("{mark} {name}  {}", output.paint(state, &status.state));
    if status.process_id != 0 {
        head += &format!(", {}", output.paint(health, &status.health));
    }
    head + "\n"
}

/// What is to be said in a line each.
fn facts(
    description: &ServiceDescription,
    status: &ServiceStatus,
    now_unix_ms: i64,
) -> Vec<(&'static str, String)> {
    let mut facts = vec![("why", explain(status, now_unix_ms))];
    if status.process_id != 0 {
        let since = age(status.start_time_unix.saturating_mul(1000), now_unix_ms);
        let (pid, run) = (status.process_id, status.generation);
        facts.push(("process", format!("{pid}, up {}, run {run}", span(since))));
    }
    let usage = status.memory_bytes.zip(status.cpu_percent);
    facts.extend(usage.map(|(memory, cpu)| {
        let limits = match &*status.limits_enforced_by {
            "" | "none" => "no limits".to_owned(),
            by => format!("limits held by {by}"),
        };
        let text = format!("{} of memory, {cpu:.1} % CPU; {limits}", bytes(memory));
        ("usage", text)
    }));
    facts.push(("restarts", status.restart_count.to_string()));
    let needs = description.depends_on.iter().map(need);
    facts.push(("needs", needs.collect::<Vec<_>>().join(", ")));
    facts.push(("listens", status.endpoints.join(", ")));
    let mut metadata: Vec<_> = status.metadata.iter().collect();
    metadata.sort();
    let metadata = metadata.iter().map(|(key, value)| format!("{key}={value}"));
    facts.push(("metadata", metadata.collect::<Vec<_>>().join(", ")));
    facts.retain(|(_, value)| !value.is_empty());
    facts
}

/// `freki (healthy)`
pub(crate) fn need(dependency: &Dependency) -> String {
    let optional = if dependency.optional {
        ", optional"
    } else {
        ""
    };
    format!(
        "{} ({}{optional})",
        dependency.service_name, dependency.condition
    )
}

/// A title and a value, which goes on below itself where it is too long.
fn fact(title: &str, value: &str, output: Output) -> String {
    const INDENT: usize = 12;
    let value = harmless(value.to_owned());
    let lines = match output.width {
        Some(width) => wrap(&value, width.saturating_sub(INDENT).max(INDENT)),
        None => vec![value],
    };
    let title = output.paint(Style::Dim, &format!("{title:>10}"));
    let indent = format!("\n{:INDENT$}", "");
    format!("{title}  {}\n", lines.join(&indent))
}

fn processes(processes: &[Process], output: Output) -> String {
    if processes.is_empty() {
        return String::new();
    }
    let rows: Vec<_> = branches(processes)
        .iter()
        .map(|branch| {
            let process = branch.process;
            let command = format!("{}{}", branch.stem, harmless(process.command.clone()));
            (process.process_id, bytes(process.memory_bytes), command)
        })
        .collect();
    let widest = rows.iter().map(|(_, memory, _)| memory.len()).max();
    let widest = widest.unwrap_or(0);
    let lines = rows.iter().map(|(pid, memory, command)| {
        let line = format!("{pid:>10}  {memory:>widest$}  {command}");
        output
            .width
            .map_or(line.clone(), |width| clip(&line, width))
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn history(history: &[StateChange], now_unix_ms: i64, output: Output) -> String {
    if history.is_empty() {
        return String::new();
    }
    let mut table = Table::new([
        ("SINCE", Align::Right),
        ("RUN", Align::Right),
        ("STATE", Align::Left),
        ("WHY", Align::Left),
    ])
    .dispensable(&[1]);
    for change in history {
        let why = change.reason.as_ref().or(change.cause.as_ref());
        table.row([
            format!("{} ago", span(age(change.at_unix_ms, now_unix_ms))).into(),
            change.generation.to_string().into(),
            Cell::styled(Style::of_state(&change.new_state), &*change.new_state),
            why.cloned().unwrap_or_default().into(),
        ]);
    }
    table.render(output)
}

fn last_lines(lines: &[LogLine], output: Output) -> String {
    let text = lines.iter().map(|line| {
        let text = harmless(line.line.clone());
        let text = output
            .width
            .map_or(text.clone(), |width| clip(&text, width));
        let style = if line.stream == "stderr" {
            Style::Busy
        } else {
            Style::Plain
        };
        output.paint(style, &text)
    });
    text.collect::<Vec<_>>().join("\n")
}

fn age(at_unix_ms: i64, now_unix_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(now_unix_ms.saturating_sub(at_unix_ms)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description() -> (ServiceDescription, ServiceStatus, Vec<LogLine>) {
        let status = ServiceStatus {
            service_name: "thor".into(),
            state: "running".into(),
            process_id: 4242,
            start_time_unix: 1000,
            health: "unhealthy".into(),
            health_message: "HTTP status 503".into(),
            memory_bytes: Some(12_897_484),
            cpu_percent: Some(1.25),
            restart_count: 2,
            generation: 3,
            limits_enforced_by: "kernel".into(),
            endpoints: vec!["http://127.0.0.1:8081".into()],
            metadata: [("role".to_owned(), "web".to_owned())].into(),
            ..ServiceStatus::default()
        };
        let process = |process_id, parent_process_id, command: &str| Process {
            process_id,
            parent_process_id,
            command: command.into(),
            memory_bytes: u64::from(process_id) * 1000,
        };
        let change =
            |at_s: i64, old_state: &str, new_state: &str, reason: Option<&str>| StateChange {
                at_unix_ms: at_s * 1000,
                old_state: old_state.into(),
                new_state: new_state.into(),
                generation: 3,
                cause: None,
                reason: reason.map(str::to_owned),
            };
        let description = ServiceDescription {
            history: vec![
                change(900, "running", "crashed", Some("exit code 1")),
                change(1000, "restarting", "starting", None),
                change(1001, "starting", "running", None),
            ],
            processes: vec![
                process(4242, 1, "thor --port 8081"),
                process(4250, 4242, "worker 雷神"),
                process(4251, 4250, "[sh]"),
            ],
            depends_on: vec![Dependency {
                service_name: "freki".into(),
                condition: "healthy".into(),
                optional: false,
            }],
            ..ServiceDescription::default()
        };
        let line = |stream: &str, line: &str| LogLine {
            stream: stream.into(),
            line: line.into(),
            ..LogLine::default()
        };
        let lines = vec![line("stdout", "hail"), line("stderr", "\x1b[31mwoe")];
        (description, status, lines)
    }

    #[test]
    fn a_page_says_all_that_is_known() {
        let (description, status, lines) = description();
        let page = page(&description, &status, &lines, 1_190_000, Output::plain());
        let golden = "\
● thor  running, unhealthy
       why  HTTP status 503
   process  4242, up 3 m 10 s, run 3
     usage  12.3 MiB of memory, 1.2 % CPU; limits held by kernel
  restarts  2
     needs  freki (healthy)
   listens  http://127.0.0.1:8081
  metadata  role=web

PROCESSES
      4242  4.0 MiB  thor --port 8081
      4250  4.1 MiB  └─ worker 雷神
      4251  4.1 MiB     └─ [sh]

HISTORY
       SINCE  RUN  STATE     WHY
4 m 50 s ago    3  crashed   exit code 1
3 m 10 s ago    3  starting
 3 m 9 s ago    3  running

OUTPUT
hail
\u{fffd}[31mwoe";
        assert_eq!(page, golden);
    }

    #[test]
    fn on_a_narrow_terminal_no_line_is_too_long() {
        let (description, status, lines) = description();
        let output = Output {
            width: Some(30),
            ..Output::plain()
        };
        let page = page(&description, &status, &lines, 1_190_000, output);
        for line in page.lines() {
            assert!(super::super::text::width(line) <= 30, "{line:?} in\n{page}");
        }
        assert!(
            page.contains("└─ worker…") || page.contains("└─ w"),
            "{page}"
        );
    }

    #[test]
    fn a_service_that_never_ran_has_a_short_page() {
        let status = ServiceStatus {
            service_name: "loki".into(),
            state: "stopped".into(),
            health: "unknown".into(),
            ..ServiceStatus::default()
        };
        let description = ServiceDescription::default();
        let page = page(&description, &status, &[], 0, Output::plain());
        assert_eq!(page, "○ loki  stopped\n  restarts  0");
    }
}
