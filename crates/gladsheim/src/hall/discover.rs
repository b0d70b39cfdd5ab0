//! Which hall file is meant.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Environment;

/// Name of a hall file.
pub(crate) const FILE_NAME: &str = "gladsheim.toml";

/// No hall file was named, and none lies where they are looked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "no hall file: looked for {}; name one with --hall, or write one: an empty file is a hall without services",
    listed(.looked_for)
)]
pub struct NoHall {
    /// Where it was looked for, in order.
    pub looked_for: Vec<PathBuf>,
}

/// Finds the hall file: `explicit` (`--hall`), else `GLADSHEIM_HALL`, else `./gladsheim.toml`, else the
/// one in the user's configuration folder, else `/etc/gladsheim/gladsheim.toml`.
///
/// # Errors
///
/// If none is named and none of the usual ones exists. One that is named need not exist: loading it says so.
pub fn discover(explicit: Option<&Path>, environment: &Environment) -> Result<PathBuf, NoHall> {
    if let Some(named) = explicit.or(environment.gladsheim_hall.as_deref()) {
        return Ok(named.to_path_buf());
    }
    let config_home = environment.xdg_config_home.clone().or_else(|| {
        let home = environment.home.as_ref()?;
        Some(home.join(".config"))
    });
    let looked_for: Vec<_> = [
        Some(environment.current_dir.join(FILE_NAME)),
        config_home.map(|folder| folder.join("gladsheim").join(FILE_NAME)),
        Some(Path::new("/etc/gladsheim").join(FILE_NAME)),
    ]
    .into_iter()
    .flatten()
    .collect();
    match looked_for.iter().find(|file| file.exists()) {
        Some(file) => Ok(file.clone()),
        None => Err(NoHall { looked_for }),
    }
}

fn listed(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    paths.join(", ")
}
