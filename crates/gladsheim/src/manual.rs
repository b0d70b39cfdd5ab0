//! The manual pages: what `--help` says, for `man`.

use std::{fs, io, path::Path};

use clap::CommandFactory as _;
use clap_mangen::Man;

use crate::cli::Cli;

/// The page of the whole program.
pub(crate) fn page() -> io::Result<String> {
    let mut page = Vec::new();
    Man::new(Cli::command()).render(&mut page)?;
    String::from_utf8(page).map_err(io::Error::other)
}

/// Writes that page, and one for each command, into `folder`, which is made.
pub(crate) fn write(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Cli::command(), folder)
}
