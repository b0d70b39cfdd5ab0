//! The hall of the rounds, and what must be true of it after each.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    time::{Duration, Instant},
};

use gladsheim_proto::{
    Client,
    v1::{ListServicesRequest, ServiceStatus},
};
use gladsheim_tests::{Process, TestDaemon, service};
use nix::sys::signal::Signal;

use super::record::Lines;

/// Services that run all the time.
pub(super) const UNDER_WAY: [&str; 9] = [
    "calm",
    "childed",
    "crashing",
    "dependent",
    "erring",
    "ready",
    "stubborn",
    "swift",
    "wordy",
];
/// A service that has ended for good.
const DONE: &str = "done";
/// How long it may take until all is well, on a machine that has much else to do.
const DEADLINE: Duration = Duration::from_secs(60);

pub(super) struct World {
    hall: TestDaemon,
    lines: BTreeMap<&'static str, Lines>,
    /// How often its section was changed.
    changes: HashMap<String, u32>,
    /// The highest restart count and generation that were seen.
    counters: HashMap<String, (u32, u64)>,
    /// All that ran when all was well the last time.
    known: BTreeSet<u32>,
}

impl World {
    pub(super) fn new() -> Self {
        let mut hall = TestDaemon::prepare(&text(&HashMap::new()));
        hall.spawn();
        let lines = |name: &&'static str| {
            let records = ["", ".child"].map(|child| hall.path(&format!("{name}.record{child}")));
            let log = hall.path(&format!("state/logs/{name}.log"));
            (*name, Lines::new(records.to_vec(), log))
        };
        let lines = UNDER_WAY.iter().chain(&[DONE]).map(lines).collect();
        Self {
            hall,
            lines,
            changes: HashMap::new(),
            counters: HashMap::new(),
            known: BTreeSet::new(),
        }
    }

    pub(super) async fn client(&self) -> Client {
        Client::connect(&self.hall.socket()).await.unwrap()
    }

    /// Kills the leader of a service, if it runs now.
    pub(super) fn kill(&self, name: &str) {
        let processes = self.hall.processes();
        let leader = processes
            .iter()
            .find(|process| is_of(process, name) && !is_child(process));
        leader.into_iter().for_each(Process::kill);
    }

    pub(super) fn kill_daemon(&mut self) {
        self.hall.signal(Signal::SIGKILL);
        self.hall.wait();
        let known = &self.known;
        let processes = self.hall.processes();
        for process in processes.iter().filter(|new| !known.contains(&new.pid)) {
            // One that has not come to its program yet may become any of them.
            let named = self.lines.keys().any(|name| is_of(process, name));
            let may_be = |(name, _): &(&&str, &mut Lines)| !named || is_of(process, name);
            let lines = self.lines.iter_mut().filter(may_be);
            lines.for_each(|(_, lines)| lines.forgive(process.pid));
        }
    }

    pub(super) fn start_daemon(&mut self) {
        self.hall.spawn();
    }

    /// Gives a service another argument.
    pub(super) fn change(&mut self, name: &str) {
        *self.changes.entry(name.to_owned()).or_default() += 1;
        self.hall.write_hall(&text(&self.changes));
    }

    /// Waits until all is well, and says what is not if that takes too long.
    pub(super) async fn settle(&mut self) {
        let deadline = Instant::now() + DEADLINE;
        let client = self.client().await;
        self.lines.values_mut().for_each(Lines::read_records);
        let mut complaints = BTreeSet::new();
        while let Some(complaint) = self.complaint(&client).await {
            complaints.insert(complaint);
            assert!(Instant::now() < deadline, "{complaints:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let processes = self.hall.processes();
        self.known = processes.iter().map(|process| process.pid).collect();
    }

    async fn complaint(&mut self, client: &Client) -> Option<String> {
        let answer = client.list_services(ListServicesRequest::default()).await;
        let statuses = answer.unwrap().services;
        statuses
            .iter()
            .for_each(|status| self.assert_counters_rise(status));
        let processes = self.hall.processes();
        let strange = processes
            .iter()
            .find(|process| !UNDER_WAY.iter().any(|name| is_of(process, name)));
        if let Some(strange) = strange {
            return Some(format!("{strange:?} belongs to nobody"));
        }
        for status in &statuses {
            let name = status.service_name.as_str();
            if let Some(complaint) = complaint_of(status, &processes) {
                return Some(format!("{name}: {complaint}"));
            }
            let twice = self.hall.path(&format!("{name}.record.twice"));
            assert!(!twice.exists(), "{name} ran twice at a time");
            let lines = self.lines.get_mut(name).unwrap();
            lines.read_log();
            if let Some(complaint) = lines.complaint() {
                return Some(format!("{name}: {complaint}"));
            }
        }
        zombie_of(self.hall.pid()).map(|pid| format!("{pid} is a zombie of the daemon"))
    }

    fn assert_counters_rise(&mut self, status: &ServiceStatus) {
        let now = (status.restart_count, status.generation);
        let seen = self
            .counters
            .entry(status.service_name.clone())
            .or_default();
        assert!(
            now.0 >= seen.0 && now.1 >= seen.1,
            "{seen:?} before, {status:?}"
        );
        *seen = now;
    }

    /// After a shutdown: the daemon ends well, and nothing is left.
    pub(super) fn assert_ended(&mut self) {
        assert!(self.hall.wait().success());
        assert_eq!(self.hall.processes().len(), 0);
    }
}

fn complaint_of(status: &ServiceStatus, processes: &[Process]) -> Option<String> {
    let name = status.service_name.as_str();
    let ended = name == DONE;
    let wanted = if ended { "stopped" } else { "running" };
    if status.state != wanted || (ended && status.generation != 1) {
        return Some(format!("{status:?}"));
    }
    let of = |child: bool| {
        let all = processes.iter().filter(|process| is_of(process, name));
        all.filter(|process| is_child(process) == child)
            .map(|process| process.pid as i32)
            .collect::<Vec<_>>()
    };
    let leaders: &[i32] = if ended { &[] } else { &[status.process_id] };
    let children = usize::from(name == "childed");
    (of(false) != leaders || of(true).len() != children).then(|| {
        format!(
            "{leaders:?} expected, {:?} and {:?} run",
            of(false),
            of(true)
        )
    })
}

fn is_of(process: &Process, name: &str) -> bool {
    process.command.contains(&format!("--record {name}.record"))
}

fn is_child(process: &Process) -> bool {
    process.command.contains("svc-numbering child ")
}

/// A child of the daemon that has ended and was not reaped.
fn zombie_of(daemon: u32) -> Option<u32> {
    let children = format!("/proc/{daemon}/task/{daemon}/children");
    let children = fs::read_to_string(children).unwrap_or_default();
    let mut pids = children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok());
    pids.find(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| rest.starts_with(" Z"))
    })
}

/// The hall file after so many changes of each service.
fn text(changes: &HashMap<String, u32>) -> String {
    let restart = "max_restart_attempts = 0\nrestart_backoff = \"0s\"";
    let mut text = format!("[health]\n{restart}\n[loader]\nshutdown_timeout = \"200ms\"\n");
    let kinds: [(&str, &[&str], &str); 10] = [
        ("calm", &["--every", "50"], ""),
        ("childed", &["--child"], ""),
        ("crashing", &["--crash-after", "100"], ""),
        ("dependent", &[], "depends_on = [\"ready\"]\n"),
        (DONE, &["--end-after", "20"], ""),
        ("erring", &["--stderr"], ""),
        ("ready", &["--notify"], "ready = \"notify\"\n"),
        ("stubborn", &["--stubborn"], ""),
        ("swift", &["--every", "2"], ""),
        ("wordy", &["--long"], ""),
    ];
    for (name, arguments, keys) in kinds {
        let record = format!("{name}.record");
        let change = changes.get(name).copied().unwrap_or(0).to_string();
        let all = ["--record", &record, "--change", &change];
        text += &service(name, "svc-numbering", &[&all[..], arguments].concat());
        text += keys;
        text += "logs = { max_size = \"1GiB\" }\n";
    }
    text
}
