//! Many runs leave nothing behind.

use std::fs;

use crate::support::{Hall, containments, script_options, soon};

/// Zombies that are children of this test and have this name.
fn zombies_named(name: &str) -> usize {
    let own = std::process::id();
    let mut count = 0;
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let (start, end) = (stat.find('(').unwrap(), stat.rfind(')').unwrap());
        let mut fields = stat[end + 2..].split(' ');
        let zombie = fields.next() == Some("Z");
        let ours = fields.next() == Some(&own.to_string());
        count += usize::from(zombie && ours && stat[start + 1..end].starts_with(name));
    }
    count
}

#[tokio::test]
async fn a_thousand_short_runs_leave_no_process_and_no_group() {
    for containment in containments() {
        let hall = Hall::contained(containment);
        let mut cgroup = None;
        // `true` is started by nobody else here, so its zombies would be ours.
        hall.loader
            .set_service_paths([("sh".to_owned(), "true".into())].into());
        for _ in 0..1000 {
            let process = hall
                .loader
                .start_service("sh", script_options(""))
                .await
                .unwrap();
            cgroup = process.cgroup().map(ToOwned::to_owned);
            soon(process.exited()).await;
        }
        assert_eq!(zombies_named("true"), 0, "{containment:?}");
        drop(hall);
        if let Some(cgroup) = cgroup {
            assert!(!cgroup.exists() && !cgroup.parent().unwrap().exists());
        }
    }
}
