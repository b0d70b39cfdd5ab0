//! A service that crashes now and then, each time in another way.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    io,
    ops::RangeInclusive,
    process::ExitCode,
};

use nix::sys::signal::{Signal, raise};
use tokio::time::sleep;

use super::{asked_to_end, say, seconds};

/// Lines on the way to the crash.
const MISCHIEF: [&str; 4] = [
    "cut off Sif's hair, nobody has noticed yet",
    "insulted all the guests at the feast",
    "turned into a mare, long story",
    "hid Thor's hammer under the bed",
];

pub(super) async fn run(seconds_to_live: RangeInclusive<u64>) -> io::Result<ExitCode> {
    let end = asked_to_end()?;
    tokio::select! {
        () = end => {
            say("all right, all right, I am leaving");
            Ok(ExitCode::SUCCESS)
        }
        code = mischief(seconds_to_live) => code,
    }
}

async fn mischief(seconds_to_live: RangeInclusive<u64>) -> io::Result<ExitCode> {
    let (shortest, longest) = seconds_to_live.into_inner();
    let lifetime = shortest + random() % (longest.saturating_sub(shortest) + 1);
    say("up to no good");
    let first = random() as usize;
    let pause = seconds(lifetime) / MISCHIEF.len() as u32;
    for step in 0..MISCHIEF.len() {
        sleep(pause).await;
        say(MISCHIEF[first.wrapping_add(step) % MISCHIEF.len()]);
    }
    if random().is_multiple_of(3) {
        say("vanishing without a word");
        raise(Signal::SIGKILL)?;
    }
    say("caught! this run is over");
    Ok(ExitCode::from(1 + (random() % 100) as u8))
}

/// Good enough for mischief: the hasher's own random keys.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
