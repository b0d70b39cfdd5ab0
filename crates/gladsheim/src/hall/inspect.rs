//! What a hall file relies on and the machine lacks: for `check`, which is to say it before a start does.

use std::{env, fs, io, os::unix::fs::PermissionsExt, path::Path};

use nix::unistd::{Gid, Group, Uid, User};

use super::{Diagnostic, Environment, Hall, Severity};

/// Looks for what the services of a hall need: programs that can be executed, `env_file`, working folders,
/// users and groups. All of it may still appear before the start, so these are warnings.
///
/// Reads folders and the user database; blocks for as long as those take.
pub fn check_environment(hall: &Hall, environment: &Environment) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    for service in &hall.config.services {
        let start = &service.start;
        let command = |words: &Option<Vec<String>>| {
            let program = words.as_ref()?.first()?;
            check_program(Path::new(program), environment)
        };
        let findings = [
            ("path", check_program(&service.path, environment)),
            ("pre_start", command(&start.pre_start)),
            ("post_stop", command(&start.post_stop)),
            ("env_file", start.env_file.as_deref().and_then(check_file)),
            (
                "working_dir",
                start.working_dir.as_deref().and_then(check_folder),
            ),
            ("user", start.user.as_deref().and_then(check_user)),
            ("group", start.group.as_deref().and_then(check_group)),
        ];
        for (key, finding) in findings {
            warnings.extend(finding.map(|finding| Diagnostic {
                file: hall.file.clone(),
                position: hall.position(&service.name, key),
                message: format!("{}: {key}: {finding}", service.name),
                severity: Severity::Warning,
            }));
        }
    }
    warnings
}

fn check_program(program: &Path, environment: &Environment) -> Option<String> {
    if program.components().count() > 1 || program.is_absolute() {
        return check_executable(program).err();
    }
    let folders = environment.path.as_deref().unwrap_or_default();
    let found =
        env::split_paths(folders).any(|folder| check_executable(&folder.join(program)).is_ok());
    (!found).then(|| format!("{} is in no folder of PATH", program.display()))
}

fn check_executable(path: &Path) -> Result<(), String> {
    let metadata = fs::metadata(path).map_err(|error| cannot_read(path, &error))?;
    if metadata.is_dir() {
        Err(format!("{} is a folder", path.display()))
    } else if metadata.permissions().mode() & 0o111 == 0 {
        Err(format!("{} has no execute bit", path.display()))
    } else {
        Ok(())
    }
}

fn check_file(path: &Path) -> Option<String> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Some(format!("{} is a folder", path.display())),
        Ok(_) => None,
        Err(error) => Some(cannot_read(path, &error)),
    }
}

fn check_folder(path: &Path) -> Option<String> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => None,
        Ok(_) => Some(format!("{} is no folder", path.display())),
        Err(error) => Some(cannot_read(path, &error)),
    }
}

fn cannot_read(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("{} does not exist", path.display()),
        _ => format!("{}: {error}", path.display()),
    }
}

fn check_user(user: &str) -> Option<String> {
    let found = match user.parse() {
        Ok(uid) => User::from_uid(Uid::from_raw(uid)).map(|user| user.is_some()),
        Err(_) => User::from_name(user).map(|user| user.is_some()),
    };
    unknown("user", user, found)
}

fn check_group(group: &str) -> Option<String> {
    let found = match group.parse() {
        Ok(gid) => Group::from_gid(Gid::from_raw(gid)).map(|group| group.is_some()),
        Err(_) => Group::from_name(group).map(|group| group.is_some()),
    };
    unknown("group", group, found)
}

fn unknown(kind: &str, name: &str, found: nix::Result<bool>) -> Option<String> {
    match found {
        Ok(true) => None,
        Ok(false) => Some(format!("there is no {kind} {name:?}")),
        Err(error) => Some(format!("{kind} {name:?} could not be looked up: {error}")),
    }
}
