//! Waiting for facts, and saying what could not be tested.

use std::{
    env, fs,
    io::Write as _,
    thread,
    time::{Duration, Instant},
};

/// How long a fact may take to come true, on a machine that has much else to do.
const DEADLINE: Duration = Duration::from_secs(60);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks again and again until `fact` is there, and returns it.
///
/// # Panics
///
/// After one minute, naming `what` was waited for.
#[track_caller]
pub fn wait_until<T>(what: &str, mut fact: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(fact) = fact() {
            return fact;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(PAUSE);
    }
}

/// Reports that the running test was skipped, and why: on standard error, and in the file that
/// `GLADSHEIM_SKIP_REPORT` names. The test returns right after it.
pub fn skip(reason: &str) {
    let thread = thread::current();
    let line = format!("SKIPPED: {}: {reason}\n", thread.name().unwrap_or("a test"));
    // Past the test framework's capture, which shows nothing of tests that pass.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(report) = env::var_os("GLADSHEIM_SKIP_REPORT") {
        let written = fs::File::options()
            .create(true)
            .append(true)
            .open(&report)
            .and_then(|mut report| report.write_all(line.as_bytes()));
        assert!(
            written.is_ok(),
            "GLADSHEIM_SKIP_REPORT {}: {written:?}",
            report.display()
        );
    }
}
