//! The `gladsheim` binary.

fn main() {}
