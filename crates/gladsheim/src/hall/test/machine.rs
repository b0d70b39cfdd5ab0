//! What depends on the machine: which file is meant, and what is missing around it.

use std::{fs, os::unix::fs::PermissionsExt};

use super::*;

#[test]
fn the_file_is_looked_for_where_the_contract_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| {
        let file = folder.path().join(name).join("gladsheim.toml");
        fs::create_dir_all(file.parent().expect("has a parent")).expect("is created");
        fs::write(&file, "").expect("is written");
        file
    };
    let mut environment = Environment {
        current_dir: folder.path().join("here"),
        home: Some(folder.path().join("home")),
        ..environment()
    };
    let look = |environment: &Environment| discover(None, environment);

    let in_home = place("home/.config/gladsheim");
    assert_eq!(look(&environment), Ok(in_home));
    let in_config = place("config/gladsheim");
    environment.xdg_config_home = Some(folder.path().join("config"));
    assert_eq!(look(&environment), Ok(in_config));
    let here = place("here");
    assert_eq!(look(&environment), Ok(here));
    environment.gladsheim_hall = Some("/named/by/variable".into());
    assert_eq!(look(&environment), Ok("/named/by/variable".into()));
    let explicit = Path::new("/named/by/option");
    assert_eq!(discover(Some(explicit), &environment), Ok(explicit.into()));
}

#[test]
fn what_the_machine_lacks_is_told_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().canonicalize().expect("exists");
    let file = folder.join("gladsheim.toml");
    fs::write(folder.join("plain"), "").expect("is written");
    fs::write(folder.join("tool"), "").expect("is written");
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.join("tool"), executable).expect("is set");
    fs::write(
        &file,
        "[services.good]\npath = 'tool'\n\
         [services.bad]\n\
         path = './plain'\n\
         pre_start = ['nowhere']\n\
         post_stop = ['./']\n\
         env_file = 'missing.env'\n\
         working_dir = 'plain'\n\
         user = 'no such user'\n\
         group = 'no such group'\n",
    )
    .expect("is written");
    let environment = Environment {
        path: Some(folder.clone().into()),
        ..environment()
    };

    let hall = Hall::load(&file, &environment).expect("is good");
    let told: Vec<_> = check_environment(&hall, &environment)
        .iter()
        .map(|warning| {
            warning
                .to_string()
                .replace(&format!("{}/", folder.display()), "")
        })
        .collect();
    assert_eq!(
        told,
        [
            "gladsheim.toml:4:8: warning: bad: path: ./plain has no execute bit",
            "gladsheim.toml:5:13: warning: bad: pre_start: nowhere is in no folder of PATH",
            "gladsheim.toml:6:13: warning: bad: post_stop: ./ is a folder",
            "gladsheim.toml:7:12: warning: bad: env_file: missing.env does not exist",
            "gladsheim.toml:8:15: warning: bad: working_dir: plain is no folder",
            "gladsheim.toml:9:8: warning: bad: user: there is no user \"no such user\"",
            "gladsheim.toml:10:9: warning: bad: group: there is no group \"no such group\"",
        ]
    );
}
