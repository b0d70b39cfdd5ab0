//! Programs are read ahead of their start.

use std::{fs, path::Path, time::Instant};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use thjalfi::ServiceLoaderError;

use crate::support::Hall;

/// A copy of a program of some size, of which nothing is in the page cache where the file system allows.
fn cold(path: &Path) {
    if !path.exists() {
        fs::copy(std::env::current_exe().unwrap(), path).unwrap();
    }
    let file = fs::File::open(path).unwrap();
    file.sync_all().unwrap();
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
}

#[tokio::test]
async fn a_loaded_program_starts_without_waiting_for_the_disk() {
    let hall = Hall::new();
    let program = hall.path("program");
    cold(&program);
    hall.loader
        .set_service_paths([("thor".to_owned(), program.clone())].into());

    let loaded = hall.loader.load_service("thor", None).await.unwrap();
    assert_eq!(loaded.files[0].0, program);
    assert!(loaded.files.len() > 1, "its libraries as well");

    // What it saves is printed: `cargo test -p thjalfi load -- --nocapture`.
    for load in [false, true] {
        cold(&program);
        if load {
            hall.loader.load_service("thor", None).await.unwrap();
        }
        let begun = Instant::now();
        let read = fs::read(&program).unwrap().len() as u64;
        println!("loaded {load}: {read} bytes read in {:?}", begun.elapsed());
        assert_eq!(read, loaded.files[0].1);
    }
}

#[tokio::test]
async fn what_may_not_start_is_not_loaded_either() {
    let hall = Hall::new();
    let unknown = hall.loader.load_service("loki", None).await;
    assert!(
        matches!(unknown, Err(ServiceLoaderError::ServiceNotFound(_))),
        "{unknown:?}"
    );
    let pin = Some("00".repeat(32));
    let refused = hall.loader.load_service("sh", pin).await;
    assert!(
        matches!(refused, Err(ServiceLoaderError::Unauthorized(_))),
        "{refused:?}"
    );
    hall.loader
        .set_service_paths([("sh".to_owned(), "/no/such".into())].into());
    let gone = hall.loader.load_service("sh", None).await;
    let Err(ServiceLoaderError::SpawnFailed(text)) = gone else {
        panic!("{gone:?}")
    };
    assert_eq!(
        text,
        "sh: open /no/such: No such file or directory (ENOENT)"
    );
}
