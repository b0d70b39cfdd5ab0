//! The real binary, as a binary of this package.

fn main() -> std::process::ExitCode {
    gladsheim::main_impl()
}
