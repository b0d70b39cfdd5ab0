//! What the registry promises beyond its state machine.

#![expect(clippy::expect_used, reason = "a helper that fails, fails its test")]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use skirnir::{
    Cause, ResourceUsage, RunEnd, ServiceFilter, ServiceMetadata, ServiceRegistry,
    ServiceRegistryApi, ServiceRegistryError, ServiceRegistryExt, ServiceState, StateChange,
    Transition,
};

fn in_state(state: ServiceState) -> ServiceMetadata {
    ServiceMetadata {
        state,
        ..ServiceMetadata::default()
    }
}

fn with_thor(state: ServiceState) -> ServiceRegistry {
    let registry = ServiceRegistry::new();
    registry
        .register_service("thor".into(), in_state(state))
        .expect("is new");
    registry
}

fn names(services: &[Arc<ServiceMetadata>]) -> Vec<&str> {
    let names = services.iter().map(|service| service.service_name.as_str());
    names.collect()
}

#[test]
fn an_entry_goes_by_the_name_it_was_registered_under() {
    let registry = ServiceRegistry::new();
    let metadata = ServiceMetadata {
        service_name: "loki".into(),
        ..ServiceMetadata::default()
    };
    registry
        .register_service("thor".into(), metadata)
        .expect("is new");
    let thor = registry.get_service("thor").expect("is registered");
    assert_eq!(thor.service_name, "thor");
    assert!(registry.is_registered("thor") && !registry.is_registered("loki"));
}

#[test]
fn each_error_has_its_occasion_and_the_specified_text() {
    let registry = with_thor(ServiceState::Running);
    let again = registry.register_service("thor".into(), ServiceMetadata::default());
    let unknown = registry.unregister_service("loki");
    let illegal = registry.update_state("thor", ServiceState::Starting);
    registry.lock();
    let locked = registry.register_service("loki".into(), ServiceMetadata::default());
    for (outcome, text) in [
        (again, "Service already registered: thor"),
        (unknown, "Service not found: loki"),
        (illegal, "Invalid state transition from Running to Starting"),
        (locked, "Registry is locked"),
    ] {
        assert_eq!(outcome.map_err(|error| error.to_string()), Err(text.into()));
    }
}

#[test]
fn nothing_can_be_done_to_an_unknown_service() {
    let registry = ServiceRegistry::new();
    let end = RunEnd {
        cause: Cause::Exit,
        exit_code: None,
        signal: None,
        error_message: None,
        at: SystemTime::UNIX_EPOCH,
    };
    for outcome in [
        registry.update_state("thor", ServiceState::Starting),
        registry.record_start("thor", 1, SystemTime::UNIX_EPOCH),
        registry.record_end("thor", end),
        registry.record_restart("thor"),
        registry.update_readiness("thor", true, None),
        registry.update_next_attempt("thor", None, 0),
        registry.update_resource_usage("thor", Default::default()),
        registry.update_health_status("thor", Default::default()),
        registry.update_endpoints("thor", Vec::new()),
        registry.update_custom("thor", HashMap::new()),
    ] {
        let expected = ServiceRegistryError::ServiceNotFound("thor".into());
        assert_eq!(outcome, Err(expected));
    }
    assert_eq!(registry.get_service("thor"), None);
    assert_eq!(registry.history("thor"), []);
}

#[test]
fn a_sample_changes_nothing_under_whoever_holds_an_earlier_one() {
    let registry = with_thor(ServiceState::Running);
    let usage = || {
        let thor = registry.get_service("thor").expect("is registered");
        let bytes = thor.resource_usage.as_ref().map(|usage| usage.memory_bytes);
        (thor, bytes)
    };
    let mut held = Vec::new();
    for round in 1..=6 {
        let sample = ResourceUsage {
            memory_bytes: round,
            ..ResourceUsage::default()
        };
        let recorded = registry.update_resource_usage("thor", sample);
        recorded.expect("is registered");
        assert_eq!(usage().1, Some(round));
        // In between nobody holds any.
        if round % 3 == 0 {
            held.push(usage());
        }
    }
    for (thor, bytes) in held {
        let now = thor.resource_usage.as_ref().map(|usage| usage.memory_bytes);
        assert_eq!(now, bytes);
    }
}

#[test]
fn a_locked_registry_still_changes_and_removes_what_it_has() {
    let registry = with_thor(ServiceState::Running);
    registry.lock();
    registry
        .update_state("thor", ServiceState::Stopping)
        .expect("is legal");
    registry.unregister_service("thor").expect("is there");
    assert_eq!(registry.get_statistics().total_count, 0);
}

#[test]
fn a_listing_of_10_000_services_is_sorted_and_whole() {
    let registry = ServiceRegistry::new();
    for number in (0..10_000).rev() {
        registry
            .register_service(format!("svc-{number:05}"), ServiceMetadata::default())
            .expect("is new");
    }
    let listed = registry.list_services();
    assert_eq!(listed.len(), 10_000);
    assert!(listed.is_sorted_by(|a, b| a.service_name < b.service_name));
    assert_eq!(registry.get_statistics().unknown_count, 10_000);
}

#[test]
fn services_are_found_by_state_metadata_and_endpoint() {
    let registry = ServiceRegistry::new();
    for (name, role, endpoint) in [
        ("thor", "web", "http://127.0.0.1:8081"),
        ("baldur", "web", "tcp:127.0.0.1:8082"),
        ("freki", "rpc", "127.0.0.1:50051"),
    ] {
        let metadata = ServiceMetadata {
            state: ServiceState::Running,
            custom: HashMap::from([("role".into(), role.into())]),
            endpoints: vec![endpoint.into()],
            ..ServiceMetadata::default()
        };
        registry
            .register_service(name.into(), metadata)
            .expect("is new");
    }
    registry
        .update_state("thor", ServiceState::Crashed)
        .expect("is legal");

    let all = ServiceFilter::default();
    let web = all.clone().metadata("role", "web");
    for (filter, expected) in [
        (all.clone(), vec!["baldur", "freki", "thor"]),
        (web.clone(), vec!["baldur", "thor"]),
        (web.state(ServiceState::Running), vec!["baldur"]),
        (all.clone().endpoint("127.0.0.1:8082"), vec!["baldur"]),
        (all.endpoint("127.0.0.1:1"), vec![]),
    ] {
        assert_eq!(names(&registry.find_services(&filter)), expected);
    }
}

#[test]
fn a_service_may_declare_where_it_listens() {
    let registry = with_thor(ServiceState::Running);
    let endpoints = vec!["http://127.0.0.1:8081".to_owned()];
    registry
        .update_endpoints("thor", endpoints.clone())
        .expect("is there");
    let custom = HashMap::from([("role".to_owned(), "web".to_owned())]);
    registry
        .update_custom("thor", custom.clone())
        .expect("is there");
    let thor = registry.get_service("thor").expect("is there");
    assert_eq!((&thor.endpoints, &thor.custom), (&endpoints, &custom));
}

#[test]
fn what_was_read_stays_as_it_was_read() {
    let registry = with_thor(ServiceState::Running);
    let before = registry.get_service("thor").expect("is there");
    registry
        .update_state("thor", ServiceState::Crashed)
        .expect("is legal");
    assert_eq!(before.state, ServiceState::Running);
}

#[test]
fn restarts_are_counted_up_to_the_end_and_stay_there() {
    let registry = ServiceRegistry::new();
    let metadata = ServiceMetadata {
        restart_count: u32::MAX - 1,
        ..ServiceMetadata::default()
    };
    registry
        .register_service("thor".into(), metadata)
        .expect("is new");
    for _ in 0..3 {
        registry.record_restart("thor").expect("is there");
        let thor = registry.get_service("thor").expect("is there");
        assert_eq!(thor.restart_count, u32::MAX);
    }
}

#[test]
fn a_change_carries_its_cause_reason_and_run() {
    let registry = with_thor(ServiceState::Starting);
    let due = SystemTime::now();
    registry.record_start("thor", 7, due).expect("is there");
    registry
        .update_state("thor", ServiceState::Running)
        .expect("is legal");
    let transition = Transition {
        new_state: ServiceState::Restarting,
        cause: Some(Cause::Probe),
        reason: Some("3 checks failed".into()),
        next_attempt_at: Some(due),
        attempt: 2,
    };
    registry.transition("thor", transition).expect("is legal");

    let thor = registry.get_service("thor").expect("is there");
    assert_eq!(thor.reason.as_deref(), Some("3 checks failed"));
    assert_eq!((thor.next_attempt_at, thor.attempt), (Some(due), 2));
    assert_eq!(thor.cause, None, "no run has ended yet");
    let last = registry.history("thor").pop().expect("has a history");
    assert_eq!(
        (last.cause, last.generation, last.seq),
        (Some(Cause::Probe), 1, 2)
    );
    assert_eq!(last.reason.as_deref(), Some("3 checks failed"));
}

#[test]
fn a_reason_stays_until_it_is_replaced_or_cleared() {
    let registry = with_thor(ServiceState::Starting);
    for (told, kept) in [
        (Some("waits for freki"), Some("waits for freki")),
        (None, Some("waits for freki")),
        (Some("waits for loki"), Some("waits for loki")),
        (Some(""), None),
    ] {
        registry
            .update_readiness("thor", false, told.map(str::to_owned))
            .expect("is there");
        let thor = registry.get_service("thor").expect("is there");
        assert_eq!(thor.reason.as_deref(), kept, "{told:?}");
    }
}

#[test]
fn a_next_attempt_may_be_moved_and_ends_with_the_next_change_of_state() {
    let registry = with_thor(ServiceState::Restarting);
    let due = Some(SystemTime::now());
    registry
        .update_next_attempt("thor", due, 3)
        .expect("is there");
    let next = |registry: &ServiceRegistry| {
        let thor = registry.get_service("thor").expect("is there");
        (thor.next_attempt_at, thor.attempt)
    };
    assert_eq!(next(&registry), (due, 3));
    registry
        .update_state("thor", ServiceState::Starting)
        .expect("is legal");
    assert_eq!(next(&registry), (None, 0));
}

#[test]
fn the_registry_shows_a_change_before_a_listener_hears_of_it() {
    let registry = with_thor(ServiceState::Running);
    let mut stream = registry.subscribe();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (ear, shown) = (Arc::clone(&heard), registry.clone());
    registry.on_state_change(move |change| {
        let thor = shown.get_service("thor").expect("is there");
        let statistics = shown.get_statistics();
        let last = shown.history("thor").pop();
        let entry = (thor.state, statistics.crashed_count, last, change);
        ear.lock().expect("is whole").push(entry);
    });
    registry
        .update_state("thor", ServiceState::Crashed)
        .expect("is legal");
    let change = stream.try_recv().expect("is told");
    let expected = (ServiceState::Crashed, 1, Some(change.clone()), change);
    assert_eq!(*heard.lock().expect("is whole"), [expected]);
}

#[test]
fn a_listener_that_panics_harms_nobody() {
    let registry = with_thor(ServiceState::Running);
    let heard = Arc::new(Mutex::new(0));
    let ear = Arc::clone(&heard);
    registry.on_state_change(|_| panic!("on purpose"));
    registry.on_state_change(move |_| *ear.lock().expect("is whole") += 1);
    for state in [ServiceState::Crashed, ServiceState::Starting] {
        registry.update_state("thor", state).expect("is legal");
    }
    assert_eq!(*heard.lock().expect("is whole"), 2);
}

#[test]
fn a_listener_may_change_the_registry_and_add_listeners() {
    let registry: Arc<dyn ServiceRegistryApi> = Arc::new(with_thor(ServiceState::Running));
    let heard: Arc<Mutex<Vec<StateChange>>> = Arc::default();
    let (ear, moved) = (Arc::clone(&heard), Arc::downgrade(&registry));
    registry.on_state_change(move |change| {
        if change.new_state == ServiceState::Crashed
            && let Some(registry) = moved.upgrade()
        {
            registry
                .update_state("thor", ServiceState::Restarting)
                .expect("is legal");
            registry.on_state_change(|_| {});
        }
        ear.lock().expect("is whole").push(change);
    });
    registry
        .update_state("thor", ServiceState::Crashed)
        .expect("is legal");
    let heard = heard.lock().expect("is whole");
    let order: Vec<_> = heard.iter().map(|change| change.new_state).collect();
    assert_eq!(order, [ServiceState::Crashed, ServiceState::Restarting]);
}

#[cfg(feature = "mock")]
#[test]
fn the_mock_stands_in_for_the_registry() {
    let mut mock = skirnir::mock::MockServiceRegistryApi::new();
    mock.expect_is_registered().return_const(true);
    let registry: Arc<dyn ServiceRegistryApi> = Arc::new(mock);
    assert!(registry.is_registered("thor"));
}
