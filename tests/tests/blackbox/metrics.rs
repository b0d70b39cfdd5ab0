//! The page of metrics: what it says, in which form, and that nobody who asks for it can do harm.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
};

use gladsheim_tests::{TestDaemon, free_port, service, skip, wait_until};
use serde_json::Value;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0";
const TEXT: &str = "text/plain; version=0.0.4";

/// A file of the project.
#[track_caller]
fn project_file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Where the daemon serves metrics, which it has said in its log.
#[track_caller]
fn address(hall: &TestDaemon) -> String {
    let log = hall.log();
    let (_, rest) = log.split_once("metrics are at http://").unwrap();
    rest.split('/').next().unwrap().to_owned()
}

/// Head and body of the answer to a request.
#[track_caller]
fn request(address: &str, line: &str, accept: &str) -> (String, String) {
    let mut connection = TcpStream::connect(address).unwrap();
    write!(
        connection,
        "{line} HTTP/1.1\r\nHost: {address}\r\nAccept: {accept}\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[track_caller]
fn scrape(hall: &TestDaemon, accept: &str) -> String {
    let (head, body) = request(&address(hall), "GET /metrics", accept);
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    body
}

/// The value of a sample, its labels in the order in which they are written.
fn value(page: &str, sample: &str) -> Option<f64> {
    let rest = page
        .lines()
        .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))?;
    Some(rest.parse().unwrap())
}

/// A hall with one service that is checked, and one that came back once.
fn hall() -> TestDaemon {
    let port = free_port();
    let hall = TestDaemon::start(
        &("metrics = \"127.0.0.1:0\"\n".to_owned()
            + &service("steady", "svc-http-health", &["--port", &port.to_string()])
            + &format!(
                "health = {{ http = \"http://127.0.0.1:{port}/\", interval = \"50ms\" }}\n"
            )
            + "limits = { memory = \"64MiB\" }\n"
            + &service(
                "shaky",
                "svc-crashing",
                &["--starts", "starts", "--runs", "1", "--code", "3"],
            )
            + "restart = { backoff = \"10ms\" }\n"),
    );
    hall.wait_for_status("steady", "healthy", |status| status["health"] == "healthy");
    hall.wait_for_status("shaky", "back", |status| {
        status["restart_count"] == 1 && status["state"] == "running"
    });
    hall
}

#[test]
fn metrics_say_what_the_hall_does() {
    let hall = hall();
    hall.cli(["status", "nobody"]).expect_code(4);
    let page = wait_until("a sample of memory", || {
        let page = scrape(&hall, OPEN_METRICS);
        value(&page, "gladsheim_service_memory_bytes{service=\"steady\"}").map(|_| page)
    });
    let state = |service: &str, state: &str| {
        let labels = format!("service=\"{service}\",gladsheim_service_state=\"{state}\"");
        value(&page, &format!("gladsheim_service_state{{{labels}}}"))
    };
    assert_eq!(state("steady", "running"), Some(1.0), "{page}");
    assert_eq!(state("steady", "failed"), Some(0.0), "{page}");
    for (sample, expected) in [
        (
            "gladsheim_service_health{service=\"steady\",gladsheim_service_health=\"healthy\"}",
            1.0,
        ),
        ("gladsheim_service_ready{service=\"steady\"}", 1.0),
        (
            "gladsheim_service_restarts_total{service=\"shaky\",cause=\"exit\"}",
            1.0,
        ),
        ("gladsheim_service_runs_total{service=\"shaky\"}", 2.0),
        ("gladsheim_service_runs_total{service=\"steady\"}", 1.0),
        (
            "gladsheim_service_memory_limit_bytes{service=\"steady\"}",
            67_108_864.0,
        ),
        ("gladsheim_service_processes{service=\"steady\"}", 1.0),
        (
            "gladsheim_service_output_dropped_lines_total{service=\"steady\"}",
            0.0,
        ),
        ("gladsheim_services{state=\"running\"}", 2.0),
        ("gladsheim_journal_writable", 1.0),
        ("gladsheim_events_total{kind=\"service.crashed\"}", 1.0),
        ("gladsheim_rpc_errors_total{code=\"NotFound\"}", 1.0),
    ] {
        assert_eq!(value(&page, sample), Some(expected), "{sample}\n{page}");
    }
    for (sample, least) in [
        (
            "gladsheim_service_health_checks_total{service=\"steady\",check=\"liveness\",outcome=\"healthy\"}",
            1.0,
        ),
        (
            "gladsheim_service_health_check_duration_seconds_bucket{service=\"steady\",check=\"liveness\",le=\"10.0\"}",
            1.0,
        ),
        ("gladsheim_service_memory_bytes{service=\"steady\"}", 1.0),
        (
            "gladsheim_service_cpu_seconds_total{service=\"steady\"}",
            0.0,
        ),
        ("gladsheim_service_open_files{service=\"steady\"}", 3.0),
        (
            "gladsheim_service_start_time_seconds{service=\"steady\"}",
            1.7e9,
        ),
        (
            "gladsheim_rpc_calls_total{method=\"gladsheim.v1.GladsheimService/GetDaemon\"}",
            2.0,
        ),
        ("gladsheim_log_messages_total{level=\"info\"}", 1.0),
        ("process_resident_memory_bytes", 1e6),
        ("process_open_fds", 3.0),
        ("process_start_time_seconds", 1.7e9),
    ] {
        let value = value(&page, sample);
        assert!(value >= Some(least), "{sample}: {value:?}\n{page}");
    }
}

/// Names of the families of a page, with their kinds.
fn families(page: &str) -> BTreeMap<&str, &str> {
    let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    families.filter_map(|line| line.split_once(' ')).collect()
}

#[test]
fn every_metric_is_documented_with_its_kind_and_labels() {
    let hall = hall();
    let page = scrape(&hall, OPEN_METRICS);
    let document = project_file("docs/metrics.md");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut documented = BTreeMap::new();
    let mut labels = BTreeMap::new();
    for row in rows {
        let (name, rest) = row.split_once('`').unwrap();
        let cells: Vec<_> = rest.split('|').map(str::trim).collect();
        documented.insert(name, cells[1]);
        labels.insert(name, cells[2].replace(['`', ' '], ""));
    }
    assert_eq!(families(&page), documented);
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (sample, used) = line
            .split_once('{')
            .unwrap_or((line.split(' ').next().unwrap(), ""));
        let family = documented.keys().filter(|name| sample.starts_with(**name));
        let family = family.max_by_key(|name| name.len()).unwrap();
        let used = used.split_once("} ").map_or("", |(used, _)| used);
        // The services of this hall have no commas in any value of a label.
        let used = used.split(',').filter_map(|label| label.split_once('='));
        let used: Vec<_> = used
            .map(|(name, _)| name)
            .filter(|name| *name != "le")
            .collect();
        assert_eq!(used.join(","), labels[family], "{line}");
    }
}

#[test]
fn every_metric_of_the_dashboard_exists() {
    let hall = hall();
    let page = scrape(&hall, TEXT);
    let families = families(&page);
    let dashboard: Value =
        serde_json::from_str(&project_file("docs/grafana-dashboard.json")).unwrap();
    let mut queries = Vec::new();
    find_queries(&dashboard, &mut queries);
    assert!(queries.len() > 10, "{queries:?}");
    let mut names = BTreeSet::new();
    for query in &queries {
        let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let ours = |word: &&str| word.starts_with("gladsheim_") || word.starts_with("process_");
        names.extend(words.filter(ours));
    }
    for name in names {
        let bucket = name.strip_suffix("_bucket").unwrap_or(name);
        assert!(families.contains_key(bucket), "{name} is no metric");
    }
}

/// Collects what the panels and the variables ask for.
fn find_queries(value: &Value, queries: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "expr" || name == "query" => {
                        queries.push(text.clone());
                    }
                    value => find_queries(value, queries),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| find_queries(item, queries)),
        _ => {}
    }
}

/// Runs a checker over a page; what it says must be nothing.
#[track_caller]
fn approves(mut checker: Command, page: &str) {
    let mut checker = checker
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    checker
        .stdin
        .take()
        .unwrap()
        .write_all(page.as_bytes())
        .unwrap();
    let output = checker.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.is_empty(), "{said}\n{page}");
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    let promtool = Path::new("/usr/bin/promtool");
    if !promtool.exists() {
        return skip("promtool is not installed (Debian: prometheus)");
    }
    let hall = hall();
    let mut checker = Command::new(promtool);
    checker.args(["check", "metrics"]);
    approves(checker, &scrape(&hall, TEXT));
}

#[test]
fn another_reader_of_open_metrics_understands_the_page() {
    let script = "import sys\n\
        from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
        families = list(parse(sys.stdin.read()))\n\
        assert len(families) > 30, len(families)\n";
    let pythons = ["python3", "/usr/bin/python3"];
    let python = pythons.into_iter().find(|python| {
        let has = Command::new(python)
            .args(["-c", "import prometheus_client.openmetrics"])
            .stderr(Stdio::null())
            .status();
        has.is_ok_and(|status| status.success())
    });
    let Some(python) = python else {
        return skip("no Python with prometheus_client (Debian: python3-prometheus-client)");
    };
    let hall = hall();
    let mut checker = Command::new(python);
    checker.args(["-c", script]);
    approves(checker, &scrape(&hall, OPEN_METRICS));
}

#[test]
fn only_metrics_and_health_are_there_and_only_to_be_read() {
    let hall = TestDaemon::start("metrics = \"127.0.0.1:0\"\n");
    let address = address(&hall);
    let status = |line: &str| {
        let (head, _) = request(&address, line, "*/*");
        head.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(request(&address, "GET /health", "").1, "ok\n");
    assert_eq!(status("HEAD /metrics"), "200");
    assert_eq!(status("POST /metrics"), "405");
    assert_eq!(status("GET /"), "404");
    let (head, page) = request(&address, "GET /metrics", "*/*");
    assert!(head.contains("application/openmetrics-text"), "{head}");
    assert!(page.ends_with("# EOF\n"), "{page}");
}

#[test]
fn clients_that_stall_do_not_keep_the_others_waiting() {
    let hall = TestDaemon::start("metrics = \"127.0.0.1:0\"\n");
    let address = address(&hall);
    let mut stalled: Vec<_> = (0..15)
        .map(|_| TcpStream::connect(&address).unwrap())
        .collect();
    for connection in &mut stalled {
        connection
            .write_all(b"GET /metrics HTTP/1.1\r\nHost:")
            .unwrap();
    }
    assert_eq!(request(&address, "GET /health", "").1, "ok\n");
    hall.cli(["status"]).expect_code(0);
    // They are thrown out in the end, and the daemon's end does not wait for that.
    for connection in &mut stalled {
        let mut rest = Vec::new();
        // Closed, or reset: both are an end.
        let _ = connection.read_to_end(&mut rest);
    }
}

#[test]
fn an_address_that_is_taken_is_an_error_at_the_start() {
    let first = TestDaemon::start("metrics = \"127.0.0.1:0\"\n");
    let address = address(&first);
    let second = TestDaemon::prepare(&format!("metrics = \"{address}\"\n"));
    let refused = second.cli(["daemon"]).expect_code(1);
    assert!(
        refused.stderr.contains(&address) && refused.stderr.contains("key `metrics`"),
        "{refused:#?}"
    );
}

#[test]
fn an_address_that_others_can_reach_is_refused() {
    let hall = TestDaemon::prepare("metrics = \"0.0.0.0:9100\"\n");
    let refused = hall.cli(["check"]).expect_code(2);
    assert!(
        refused.stderr.contains("no loopback address"),
        "{refused:#?}"
    );
}
