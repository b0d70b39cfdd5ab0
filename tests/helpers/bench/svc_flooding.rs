//! Writes `--lines N` lines of 100 bytes as fast as they are taken, and ends: many at once,
//! or with `--singly` one by one.

use std::{
    fs::File,
    io::{Write as _, stdout},
    os::fd::AsFd as _,
};

use gladsheim_tests::helper::{flag, number};

/// Bytes of a line, with its end.
const LINE: usize = 100;
/// Lines that are written at once: about 64 KiB, as programs do that buffer their output.
const AT_ONCE: u64 = 655;

fn main() -> std::io::Result<()> {
    let line = format!("{:x<1$}\n", "", LINE - 1);
    let chunk = line.repeat(AT_ONCE as usize);
    let at_once = if flag("--singly") { 1 } else { AT_ONCE };
    let mut left = number("--lines").unwrap_or(1);
    // Past the buffer of `stdout`, which is written out at the end of each line.
    let mut out = File::from(stdout().as_fd().try_clone_to_owned()?);
    while left > 0 {
        let lines = left.min(at_once);
        out.write_all(&chunk.as_bytes()[..lines as usize * LINE])?;
        left -= lines;
    }
    Ok(())
}
