//! Alone in their process and one after the other, so that they can count what is left.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use std::{collections::HashMap, fs, time::Duration};

use thjalfi::{ServiceLoader, ServiceLoaderConfig, StartOptions};
use tokio::sync::Mutex;

static ALONE: Mutex<()> = Mutex::const_new(());

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[tokio::test]
async fn a_running_service_holds_at_most_four_descriptors_and_an_ended_one_none() {
    const SERVICES: usize = 50;
    let _alone = ALONE.lock().await;
    let folder = tempfile::TempDir::new().unwrap();
    let names: Vec<_> = (0..SERVICES).map(|index| format!("s{index}")).collect();
    let paths: HashMap<_, _> = names
        .iter()
        .map(|name| (name.clone(), "/bin/sh".into()))
        .collect();
    let loader = ServiceLoader::new(ServiceLoaderConfig {
        service_paths: paths,
        log_dir: Some(folder.path().to_owned()),
        ..ServiceLoaderConfig::default()
    });
    let options = StartOptions {
        args: vec!["-c".to_owned(), "echo up; exec sleep 1000".to_owned()],
        readiness: thjalfi::Readiness::Log("up".to_owned()),
        ..StartOptions::default()
    };
    // The runtime opens some of its own with the first service.
    loader
        .start_service("s0", options.clone())
        .await
        .expect("starts");
    loader.force_kill_service("s0").await.expect("is killed");
    for _ in 0..2 {
        let before = open_descriptors();
        for name in &names {
            loader
                .start_service(name, options.clone())
                .await
                .expect("starts");
        }
        let each = (open_descriptors() - before).div_ceil(SERVICES);
        assert!(each <= 4, "{each} for each service");
        for name in &names {
            loader
                .stop_service(name, Duration::from_secs(10))
                .await
                .expect("stops");
        }
        assert_eq!(open_descriptors(), before);
    }
}

#[tokio::test]
async fn a_failed_start_leaves_no_process_and_no_descriptor() {
    let _alone = ALONE.lock().await;
    let loader = ServiceLoader::new(ServiceLoaderConfig {
        service_paths: HashMap::from([("thor".to_owned(), "/no/such".into())]),
        ..ServiceLoaderConfig::default()
    });
    let mut before = None;
    for _ in 0..50 {
        let started = loader.start_service("thor", StartOptions::default()).await;
        started.expect_err("there is no such program");
        assert_eq!(
            open_descriptors(),
            *before.get_or_insert_with(open_descriptors)
        );
    }
    let children = fs::read_dir("/proc/self/task")
        .unwrap()
        .map(|task| fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default());
    assert_eq!(children.collect::<String>(), "");
}
