//! Whole files: what they say, and what is said about them.

mod bad;
mod fuzz;
mod good;
mod machine;
pub(super) mod schema;

use std::path::{Path, PathBuf};

use super::*;

/// The contract's example.
const EVERY_KEY: &str = include_str!("every_key.toml");

/// An ordinary user on a machine with four CPUs.
fn environment() -> Environment {
    Environment {
        uid: 1000,
        home: Some("/home/odin".into()),
        xdg_config_home: None,
        xdg_state_home: None,
        xdg_runtime_dir: Some("/run/user/1000".into()),
        gladsheim_hall: None,
        current_dir: "/srv".into(),
        path: Some("/usr/bin:/bin".into()),
        cpus: 4,
    }
}

fn parse(text: &str) -> Result<Hall, HallError> {
    Hall::parse(text, Path::new("/srv/gladsheim.toml"), &environment())
}

#[track_caller]
fn good(text: &str) -> Hall {
    match parse(text) {
        Ok(hall) if hall.warnings.is_empty() => {
            schema::verdict(text).expect("an editor would not complain");
            hall
        }
        Ok(hall) => panic!("warnings: {:?}", hall.warnings),
        Err(error) => panic!("{error}"),
    }
}
