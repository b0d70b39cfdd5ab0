//! Who may not start, and why.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use thjalfi::{ProcessEvent, ServiceLoaderError, StartOptions};

use crate::support::{Hall, executable, soon};

fn refusal(result: Result<thjalfi::ServiceProcess, ServiceLoaderError>) -> String {
    match result {
        Err(ServiceLoaderError::Unauthorized(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn mode(path: &std::path::Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn what_is_not_configured_is_not_found() {
    let hall = Hall::new();
    let started = hall
        .loader
        .start_service("loki", StartOptions::default())
        .await;
    assert!(
        matches!(started, Err(ServiceLoaderError::ServiceNotFound(_))),
        "{started:?}"
    );
}

#[tokio::test]
async fn what_everybody_can_write_to_is_refused_through_links_too() {
    let hall = Hall::new();
    let (program, link) = (hall.path("program"), hall.path("link"));
    executable(&program, "#!/bin/sh\nexec sleep 1000\n");
    std::os::unix::fs::symlink(&program, &link).unwrap();
    hall.loader
        .set_service_paths([("thor".to_owned(), link)].into());
    let mut events = hall.loader.subscribe();

    mode(&program, 0o757);
    let text = refusal(
        hall.loader
            .start_service("thor", StartOptions::default())
            .await,
    );
    assert!(
        text.starts_with("thor: ") && text.contains("is world-writable; chmod o-w"),
        "{text}"
    );
    let event = soon(events.recv()).await.unwrap();
    assert!(
        matches!(event, ProcessEvent::Refused { ref reason, .. } if text.ends_with(reason)),
        "{event:?}"
    );

    mode(&program, 0o755);
    mode(hall.folder.path(), 0o777);
    let text = refusal(
        hall.loader
            .start_service("thor", StartOptions::default())
            .await,
    );
    assert!(text.contains("world-writable folder"), "{text}");

    mode(hall.folder.path(), 0o1777);
    hall.loader
        .start_service("thor", StartOptions::default())
        .await
        .expect("a sticky folder is fine");
    soon(hall.loader.force_kill_service("thor")).await.unwrap();
}

#[tokio::test]
async fn a_pin_admits_only_the_very_content() {
    let hall = Hall::new();
    let program = hall.path("program");
    fs::copy(fs::canonicalize("/bin/sleep").unwrap(), &program).unwrap();
    let script = hall.path("script");
    executable(&script, "#!/bin/sh\nexec sleep 1000\n");
    for path in [program, script] {
        let sum = Command::new("sha256sum")
            .arg(&path)
            .output()
            .unwrap()
            .stdout;
        let digest = String::from_utf8(sum).unwrap()[..64].to_owned();
        let options = StartOptions {
            args: vec!["1000".to_owned()],
            sha256: Some(digest.clone()),
            ..StartOptions::default()
        };
        hall.loader
            .set_service_paths([("thor".to_owned(), path.clone())].into());
        let process = hall
            .loader
            .start_service("thor", options.clone())
            .await
            .expect("is admitted");
        assert!(process.is_alive());
        soon(hall.loader.force_kill_service("thor")).await.unwrap();

        let mut changed = fs::read(&path).unwrap();
        changed.push(b'\n');
        fs::write(&path, changed).unwrap();
        let text = refusal(hall.loader.start_service("thor", options).await);
        assert!(text.contains("not the pinned one"), "{text}");
    }
}
