//! A resource manager that measures nothing.

use byggvir::mock::MockResourceManagerApi;
use tokio::sync::broadcast;

pub(crate) fn manager() -> MockResourceManagerApi {
    let mut manager = MockResourceManagerApi::new();
    manager.expect_start_monitoring().returning(|| ());
    manager.expect_stop_monitoring().returning(|| ());
    manager
        .expect_set_resource_limits()
        .returning(|_, _| Ok(()));
    manager.expect_set_limit_policy().returning(|_, _| ());
    manager.expect_untrack_service().returning(|_| ());
    manager.expect_track_service().returning(|_, _| ());
    manager.expect_run_ended().returning(|_| ());
    manager.expect_limits_enforced_by().returning(|_| "none");
    manager.expect_measured_by().returning(|_| "none");
    manager
        .expect_subscribe()
        .returning(|| broadcast::channel(1).1);
    manager
}
