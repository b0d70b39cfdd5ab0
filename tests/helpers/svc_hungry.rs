//! Holds `--mib N` of memory; with `--on-user1`, only once SIGUSR1 has come.

#![expect(
    clippy::expect_used,
    reason = "a helper that cannot play its part says so and ends"
)]

use std::hint::black_box;

use gladsheim_tests::helper::{Requests, announce, flag, number};

fn main() {
    let requests = Requests::catch();
    if flag("--on-user1") {
        announce();
        requests.wait();
    }
    let mib = usize::try_from(number("--mib").expect("--mib is needed")).expect("it fits");
    // Not zero, so that every page is really there.
    let food = black_box(vec![0xFE_u8; mib << 20]);
    if !flag("--on-user1") {
        announce();
    }
    requests.wait_to_end();
    drop(black_box(food));
}
