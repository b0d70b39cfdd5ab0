//! Sends `WATCHDOG=1` every quarter of its watchdog's interval, unless the file `--control FILE` says
//! `hang` at that moment, or `trigger`: then it asks for its watchdog's alarm.

#![expect(
    clippy::expect_used,
    reason = "a helper that cannot play its part says so and ends"
)]

use std::{env, fs, thread, time::Duration};

use gladsheim_tests::helper::{Requests, announce, notify, option};

fn main() {
    let requests = Requests::catch();
    let micros = env::var("WATCHDOG_USEC").expect("WATCHDOG_USEC is set");
    let interval = Duration::from_micros(micros.parse().expect("is a number"));
    announce();
    thread::spawn(move || {
        loop {
            let control = option("--control").and_then(|file| fs::read_to_string(file).ok());
            match control.as_deref().map_or("", str::trim) {
                "hang" => {}
                "trigger" => notify("WATCHDOG=trigger"),
                _ => notify("WATCHDOG=1"),
            }
            thread::sleep(interval / 4);
        }
    });
    requests.wait_to_end();
}
