//! The binary: with the C library inside it.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::command::{self, cargo};

/// Builds the binary in a target folder of its own, since its flags differ from those of all other builds.
pub(super) fn build(target: &Path, quick: bool) -> anyhow::Result<PathBuf> {
    if quick {
        command::run(&mut cargo([
            // As the tests are built, so that nothing is built twice.
            "build",
            "--workspace",
            "--bin=gladsheim",
        ]))?;
        return Ok(target.join("debug/gladsheim"));
    }
    let triple = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let mut build = cargo([
        "build",
        "--release",
        "--locked",
        "--package=gladsheim",
        "--bin=gladsheim",
    ]);
    // With a triple named, the flags are for the binary alone and not for build scripts.
    build
        .args(["--target", &triple])
        .env("CARGO_TARGET_DIR", target.join("static"))
        .env("RUSTFLAGS", "-C target-feature=+crt-static");
    command::run(&mut build)?;
    Ok(target.join("static").join(triple).join("release/gladsheim"))
}

/// Whether an ELF file of 64 bits in little endian needs no loader: no program header is `PT_INTERP`.
pub(super) fn is_static(elf: &[u8]) -> bool {
    const PT_INTERP: u64 = 3;
    let number = |at: usize, length: usize| -> Option<u64> {
        let bytes = elf.get(at..at + length)?.iter().rev();
        Some(bytes.fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    let interpreted = || {
        let table = usize::try_from(number(32, 8)?).ok()?;
        let size = usize::try_from(number(54, 2)?).ok()?;
        let count = usize::try_from(number(56, 2)?).ok()?;
        let kinds = (0..count).map(|index| number(table + index * size, 4));
        let kinds: Vec<u64> = kinds.collect::<Option<_>>()?;
        Some(kinds.contains(&PT_INTERP))
    };
    elf.starts_with(b"\x7fELF\x02\x01") && interpreted() == Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_loader_is_not_static() {
        let elf = |kind: u8| {
            let mut elf = vec![0; 64 + 56];
            elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
            (elf[32], elf[54], elf[56], elf[64]) = (64, 56, 1, kind);
            elf
        };
        assert!(is_static(&elf(1)));
        assert!(!is_static(&elf(3)));
        assert!(!is_static(b"#!/bin/sh"));
        assert!(!is_static(&elf(1)[..60]));
    }
}
