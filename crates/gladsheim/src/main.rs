//! The `gladsheim` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    gladsheim::main_impl()
}
