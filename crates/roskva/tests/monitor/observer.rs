//! What observers see.

use roskva::{Cause, ExitReport, HealthStatus};
use tokio::sync::mpsc;

use crate::fake::{Act, Hall, exit, liveness};

#[tokio::test(start_paused = true)]
async fn observers_see_every_change_in_order() {
    let mut hall = Hall::new();
    let (sender, mut changes) = mpsc::unbounded_channel();
    hall.monitor.on_health_change(|_| panic!("a bad listener"));
    hall.monitor.on_health_change(move |change| {
        let pair = (change.old_status, change.new_status);
        sender.send(pair).expect("the test listens");
    });
    let (sender, mut crashes) = mpsc::unbounded_channel();
    hall.monitor
        .on_service_crash(move |crash| sender.send(crash).expect("the test listens"));
    use Act::{Fail, Pass};
    hall.probe.script("a:1", &[Pass, Fail, Fail, Fail]);
    hall.start("thor", liveness("a")).await;
    let mut updates = hall
        .monitor
        .subscribe_health_updates("thor")
        .expect("is monitored");
    hall.call().await.expect("is ended");
    let report = ExitReport {
        signal: Some(9),
        ..exit(Cause::Probe, None)
    };
    hall.monitor.report_exit("thor", report);

    use HealthStatus::{Healthy, Unhealthy, Unknown};
    for pair in [
        (Unknown, Healthy),
        (Healthy, Unhealthy),
        (Unhealthy, Unknown),
    ] {
        assert_eq!(changes.recv().await, Some(pair));
    }
    let crash = crashes.recv().await.expect("a crash");
    assert_eq!(
        (crash.signal, crash.cause, crash.restart_attempt),
        (Some(9), Cause::Probe, 1)
    );
    for status in [Healthy, Healthy, Healthy, Unhealthy, Unknown] {
        assert_eq!(updates.recv().await.expect("an update").status, status);
    }
    hall.monitor.stop_monitoring("thor").await;
    assert!(
        updates.recv().await.is_err(),
        "the stream ends with the monitoring"
    );
}
