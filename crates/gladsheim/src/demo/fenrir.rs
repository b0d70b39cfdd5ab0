//! A service whose memory grows until somebody ends it.

use std::{io, process::ExitCode, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use super::{asked_to_end, say};

const MIB: usize = 1024 * 1024;

pub(super) async fn run(mib_per_sec: usize) -> io::Result<ExitCode> {
    let mut end = std::pin::pin!(asked_to_end()?);
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut eaten = Vec::new();
    say("only a small wolf, nothing to fear");
    loop {
        tokio::select! {
            () = &mut end => {
                say("chained again");
                return Ok(ExitCode::SUCCESS);
            }
            _ = second.tick() => {
                // Not zero, so that every page is really there.
                eaten.push(vec![0xFE_u8; mib_per_sec * MIB]);
                if eaten.len().is_multiple_of(4) {
                    say(&format!("ate {} MiB, still hungry", eaten.len() * mib_per_sec));
                }
            }
        }
    }
}
