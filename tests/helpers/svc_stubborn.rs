//! Does not end, whoever asks.

use gladsheim_tests::helper::{Requests, announce, for_ever};

fn main() {
    let _ignored = Requests::catch();
    announce();
    for_ever()
}
