//! Answers each connection to its first passed socket, a TCP listener, with its pid; ends when it is
//! asked to, with the answer under way given.

#![expect(
    clippy::expect_used,
    reason = "a helper that cannot play its part says so and ends"
)]
#![expect(unsafe_code, reason = "descriptors are passed by their numbers")]

use std::{
    env,
    io::Write as _,
    net::{TcpListener, TcpStream},
    os::fd::{FromRawFd as _, OwnedFd},
    process,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use gladsheim_tests::helper::{Requests, announce};

static ENDING: AtomicBool = AtomicBool::new(false);

fn main() {
    let requests = Requests::catch();
    let own = process::id().to_string();
    assert_eq!(env::var("LISTEN_PID").as_ref(), Ok(&own));
    assert_eq!(env::var("LISTEN_FDS").as_deref(), Ok("1"));
    // SAFETY: the protocol says that the descriptor 3 is a socket, and nothing else here owns it.
    let listener = TcpListener::from(unsafe { OwnedFd::from_raw_fd(3) });
    let address = listener.local_addr().expect("is bound");
    thread::spawn(move || {
        requests.wait_to_end();
        ENDING.store(true, Ordering::SeqCst);
        // Wakes the other thread.
        drop(TcpStream::connect(address));
    });
    announce();
    while !ENDING.load(Ordering::SeqCst) {
        let (mut connection, _) = listener.accept().expect("somebody connects");
        // A client that goes away is none of our business.
        let _ = connection.write_all(own.as_bytes());
    }
}
