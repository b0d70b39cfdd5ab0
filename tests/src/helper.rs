//! What the helper services (`svc-…`) share.
//!
//! Options of all of them: `--ready FILE` (gets the pid once the service is ready to be signalled),
//! `--starts FILE` (gets a line at each start), `--notify` (`READY=1` to `NOTIFY_SOCKET`).

use std::{
    env, fs,
    io::{Write as _, stderr, stdout},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    thread,
};

use nix::sys::signal::{SigSet, Signal};

/// SIGTERM, SIGINT, SIGHUP and SIGUSR1, which wait until somebody looks.
#[derive(Debug)]
pub struct Requests(SigSet);

impl Requests {
    /// From here on they end nobody. To be called before any thread is started.
    pub fn catch() -> Self {
        let mut signals = SigSet::empty();
        for signal in [
            Signal::SIGTERM,
            Signal::SIGINT,
            Signal::SIGHUP,
            Signal::SIGUSR1,
        ] {
            signals.add(signal);
        }
        signals.thread_block().expect("a mask can be set");
        Self(signals)
    }

    /// The next of them.
    pub fn wait(&self) -> Signal {
        self.0.wait().expect("signals can be waited for")
    }

    /// Waits for SIGTERM or SIGINT.
    pub fn wait_to_end(&self) {
        while !matches!(self.wait(), Signal::SIGTERM | Signal::SIGINT) {}
    }

    /// They do again what they did before.
    pub fn release(&self) {
        self.0.thread_unblock().expect("a mask can be set");
    }
}

/// Says that the service is ready, in each of the ways that it was asked to.
pub fn announce() {
    if let Some(file) = option("--starts") {
        append(&file, &std::process::id().to_string());
    }
    say("ready");
    if flag("--notify") {
        notify("READY=1");
    }
    if let Some(file) = option("--ready") {
        announce_in(&file);
    }
}

/// Sends one message to the supervisor, by the `sd_notify` protocol.
pub fn notify(message: &str) {
    let name = env::var("NOTIFY_SOCKET").expect("NOTIFY_SOCKET is set");
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&name),
    };
    UnixDatagram::unbound()
        .and_then(|socket| socket.send_to_addr(message.as_bytes(), &address?))
        .expect("the supervisor listens");
}

/// Writes the pid into `file`, which appears whole or not at all.
pub fn announce_in(file: &str) {
    let unfinished = format!("{file}.{}", std::process::id());
    fs::write(&unfinished, std::process::id().to_string()).expect("is written");
    fs::rename(unfinished, file).expect("is renamed");
}

/// Appends one line to `file`.
pub fn append(file: &str, line: &str) {
    let mut file = fs::File::options()
        .create(true)
        .append(true)
        .open(file)
        .expect("opens");
    // One write: lines of several processes do not mix.
    file.write_all(format!("{line}\n").as_bytes())
        .expect("is written");
}

/// Which run this is, from 1, as the file of `--starts` tells; after [`announce`].
pub fn run_number() -> u64 {
    let file = option("--starts").expect("--starts is needed to count");
    fs::read_to_string(file)
        .expect("is readable")
        .lines()
        .count() as u64
}

/// One line on standard output, at once. A closed output ends no service.
pub fn say(line: &str) {
    let _ = writeln!(stdout(), "{line}");
}

/// One line on standard error. A closed output ends no service.
pub fn complain(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

/// Whether the argument is there.
pub fn flag(name: &str) -> bool {
    env::args().any(|argument| argument == name)
}

/// The argument after `name`.
pub fn option(name: &str) -> Option<String> {
    env::args().skip_while(|argument| argument != name).nth(1)
}

/// The number after `name`.
pub fn number(name: &str) -> Option<u64> {
    option(name).map(|text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} takes a number"))
    })
}

/// Until somebody kills the process.
pub fn for_ever() -> ! {
    loop {
        thread::park();
    }
}
