//! The state machine against a table written apart from it, and random walks over the whole registry
//! against a second, simple implementation.

#[path = "support/follower.rs"]
mod follower;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use follower::Follower;
use gladsheim_types::{HealthStatus, ServiceHealth};
use proptest::{prelude::*, sample::select};
use skirnir::{
    Cause, ResourceUsage, RunEnd, ServiceMetadata, ServiceRegistry, ServiceRegistryError,
    ServiceState, ServiceStatistics, Transition,
};

/// The documented table (design, section 3): `x` where the row's state leads to the column's.
/// Rows and columns: unknown, starting, running, stopping, stopped, crashed, restarting, failed.
const TABLE: [&str; 8] = [
    ".xx.xx.x", // unknown
    "..xx.x.x", // starting
    "...xxxx.", // running
    "..x.x...", // stopping
    ".x......", // stopped
    ".x..x.xx", // crashed
    ".x.xx..x", // restarting
    ".x..x...", // failed
];

fn is_documented(from: ServiceState, to: ServiceState) -> bool {
    let at = |state| ServiceState::ALL.iter().position(|known| *known == state);
    let (Some(row), Some(column)) = (at(from), at(to)) else {
        return false;
    };
    TABLE[row].as_bytes()[column] == b'x'
}

#[test]
fn all_64_pairs_are_as_documented() {
    for from in ServiceState::ALL {
        for to in ServiceState::ALL {
            let documented = is_documented(from, to);
            assert_eq!(from.is_valid_transition(to), documented, "{from} to {to}");
            assert_eq!(
                from.possible_next_states().contains(&to),
                documented,
                "{from} to {to}"
            );
        }
    }
}

#[test]
fn no_state_leads_to_itself_and_none_is_a_dead_end() {
    for state in ServiceState::ALL {
        assert!(!state.is_valid_transition(state), "{state}");
        assert!(!state.possible_next_states().is_empty(), "{state}");
    }
}

#[test]
fn the_registry_allows_what_the_table_allows() {
    for from in ServiceState::ALL {
        for to in ServiceState::ALL {
            let registry = ServiceRegistry::new();
            let metadata = ServiceMetadata {
                state: from,
                ..ServiceMetadata::default()
            };
            registry
                .register_service("thor".into(), metadata)
                .expect("is new");
            let before = registry.get_service("thor");
            let outcome = registry.update_state("thor", to);
            if is_documented(from, to) {
                assert_eq!(outcome, Ok(()), "{from} to {to}");
            } else {
                assert_eq!(
                    outcome,
                    Err(ServiceRegistryError::InvalidTransition(from, to))
                );
                assert_eq!(registry.get_service("thor"), before, "nothing has changed");
                assert!(registry.history("thor").is_empty(), "{from} to {to}");
            }
        }
    }
}

#[test]
fn every_name_of_a_state_leads_back_to_it() {
    for state in ServiceState::ALL {
        assert_eq!(ServiceState::from_name(state.as_str()), Some(state));
    }
    assert_eq!(ServiceState::from_name("Running"), None);
}

/// A command at the registry.
#[derive(Debug, Clone)]
enum Command {
    Register(ServiceState),
    Unregister,
    Move(Transition),
    Start(u32),
    End(RunEnd),
    Restart,
    Ready(bool, Option<String>),
    Usage(u64),
    Health(HealthStatus),
}

fn a_time() -> impl Strategy<Value = SystemTime> {
    (0..1_000_000_u64).prop_map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

fn a_reason() -> impl Strategy<Value = Option<String>> {
    prop::option::of("[a-z]{0,3}")
}

fn a_transition() -> impl Strategy<Value = Transition> {
    (
        select(&ServiceState::ALL[..]),
        prop::option::of(select(&Cause::ALL[..])),
        a_reason(),
        prop::option::of(a_time()),
        0..4_u32,
    )
        .prop_map(
            |(new_state, cause, reason, next_attempt_at, attempt)| Transition {
                new_state,
                cause,
                reason,
                next_attempt_at,
                attempt,
            },
        )
}

fn an_end() -> impl Strategy<Value = RunEnd> {
    (
        select(&Cause::ALL[..]),
        prop::option::of(0..256),
        prop::option::of(1..32),
        a_reason(),
        a_time(),
    )
        .prop_map(|(cause, exit_code, signal, error_message, at)| RunEnd {
            cause,
            exit_code,
            signal,
            error_message,
            at,
        })
}

fn a_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        2 => select(&ServiceState::ALL[..]).prop_map(Command::Register),
        1 => Just(Command::Unregister),
        12 => a_transition().prop_map(Command::Move),
        2 => (1..9_999_u32).prop_map(Command::Start),
        2 => an_end().prop_map(Command::End),
        2 => Just(Command::Restart),
        1 => (any::<bool>(), a_reason()).prop_map(|(ready, reason)| Command::Ready(ready, reason)),
        1 => any::<u64>().prop_map(Command::Usage),
        1 => select(&HealthStatus::ALL[..]).prop_map(Command::Health),
    ]
}

/// The second implementation: a map of plain values, and the states each went through.
#[derive(Default)]
struct Model {
    services: BTreeMap<String, (ServiceMetadata, Vec<ServiceState>)>,
    changes: u64,
}

impl Model {
    fn apply(&mut self, name: &str, command: Command) -> Result<(), ServiceRegistryError> {
        let missing = || ServiceRegistryError::ServiceNotFound(name.to_owned());
        if let Command::Register(state) = command {
            if self.services.contains_key(name) {
                return Err(ServiceRegistryError::AlreadyRegistered(name.to_owned()));
            }
            let service = ServiceMetadata {
                service_name: name.to_owned(),
                state,
                ..ServiceMetadata::default()
            };
            self.services
                .insert(name.to_owned(), (service, vec![state]));
            return Ok(());
        }
        let (service, states) = self.services.get_mut(name).ok_or_else(missing)?;
        match command {
            Command::Register(_) => {}
            Command::Unregister => {
                self.services.remove(name);
            }
            Command::Move(transition) => {
                let (from, to) = (service.state, transition.new_state);
                if !is_documented(from, to) {
                    return Err(ServiceRegistryError::InvalidTransition(from, to));
                }
                service.state = to;
                service.reason = transition.reason;
                service.next_attempt_at = transition.next_attempt_at;
                service.attempt = transition.attempt;
                states.push(to);
                self.changes += 1;
            }
            Command::Start(pid) => {
                service.process_id = pid;
                service.start_time = Some(started(pid));
                service.stop_time = None;
                service.generation += 1;
                service.ready = false;
                service.resource_usage = None;
                service.health_status = None;
            }
            Command::End(end) => {
                service.process_id = 0;
                service.stop_time = Some(end.at);
                service.cause = Some(end.cause);
                service.exit_code = end.exit_code;
                service.signal = end.signal;
                service.error_message = end.error_message;
                service.ready = false;
                service.resource_usage = None;
                service.health_status = None;
            }
            Command::Restart => {
                service.restart_count += 1;
                let cause = service.cause.unwrap_or(Cause::Unknown);
                match service
                    .restart_causes
                    .iter()
                    .position(|(of, _)| *of == cause)
                {
                    Some(index) => service.restart_causes[index].1 += 1,
                    None => service.restart_causes.push((cause, 1)),
                }
            }
            Command::Ready(ready, reason) => {
                service.ready = ready;
                match reason.as_deref() {
                    None => {}
                    Some("") => service.reason = None,
                    Some(_) => service.reason = reason,
                }
            }
            Command::Usage(bytes) => service.resource_usage = Some(usage(bytes)),
            Command::Health(status) => service.health_status = Some(health(status)),
        }
        Ok(())
    }

    fn count(&self, states: &[ServiceState]) -> usize {
        let services = self.services.values();
        services
            .filter(|(service, _)| states.contains(&service.state))
            .count()
    }
}

fn started(pid: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(pid.into())
}

fn usage(memory_bytes: u64) -> ResourceUsage {
    ResourceUsage {
        memory_bytes,
        ..ResourceUsage::default()
    }
}

fn health(status: HealthStatus) -> ServiceHealth {
    ServiceHealth {
        status,
        ..ServiceHealth::default()
    }
}

fn apply(
    registry: &ServiceRegistry,
    name: &str,
    command: Command,
) -> Result<(), ServiceRegistryError> {
    match command {
        Command::Register(state) => {
            let metadata = ServiceMetadata {
                service_name: "somebody else".into(),
                state,
                ..ServiceMetadata::default()
            };
            registry.register_service(name.into(), metadata)
        }
        Command::Unregister => registry.unregister_service(name),
        Command::Move(transition) => registry.transition(name, transition),
        Command::Start(pid) => registry.record_start(name, pid, started(pid)),
        Command::End(end) => registry.record_end(name, end),
        Command::Restart => registry.record_restart(name),
        Command::Ready(ready, reason) => registry.update_readiness(name, ready, reason),
        Command::Usage(bytes) => registry.update_resource_usage(name, usage(bytes)),
        Command::Health(status) => registry.update_health_status(name, health(status)),
    }
}

/// Everything that can be asked, against the model.
fn check(registry: &ServiceRegistry, model: &Model) {
    let listed = registry.list_services();
    let expected: Vec<_> = model
        .services
        .values()
        .map(|(service, _)| service)
        .collect();
    assert_eq!(listed.iter().map(Arc::as_ref).collect::<Vec<_>>(), expected);

    for state in ServiceState::ALL {
        let by_state = registry.list_services_by_state(state);
        assert_eq!(by_state.len(), model.count(&[state]), "{state}");
        assert!(by_state.iter().all(|service| service.state == state));
    }

    use ServiceState::{
        Crashed, Failed, Restarting, Running, Starting, Stopped, Stopping, Unknown,
    };
    let statistics = registry.get_statistics();
    let expected = ServiceStatistics {
        total_count: model.services.len(),
        running_count: model.count(&[Running]),
        stopped_count: model.count(&[Stopped, Unknown]),
        crashed_count: model.count(&[Crashed, Failed]),
        starting_count: model.count(&[Starting, Restarting]),
        stopping_count: model.count(&[Stopping]),
        failed_count: model.count(&[Failed]),
        restarting_count: model.count(&[Restarting]),
        unknown_count: model.count(&[Unknown]),
    };
    assert_eq!(statistics, expected);
    assert_eq!(
        statistics.total_count,
        statistics.running_count
            + statistics.stopped_count
            + statistics.crashed_count
            + statistics.starting_count
            + statistics.stopping_count
    );

    for (name, (service, states)) in &model.services {
        assert_eq!(registry.get_service(name).as_deref(), Some(service));
        let steps: Vec<_> = states.windows(2).map(|pair| (pair[0], pair[1])).collect();
        let kept = &steps[steps.len().saturating_sub(32)..];
        let history = registry.history(name);
        let remembered: Vec<_> = history
            .iter()
            .map(|change| (change.old_state, change.new_state))
            .collect();
        assert_eq!(remembered, kept);
        assert!(history.is_sorted_by(|a, b| a.seq < b.seq && a.generation <= b.generation));
    }
}

proptest! {
    #[test]
    fn a_random_walk_agrees_with_the_model(
        walk in prop::collection::vec((select(&["freki", "loki", "thor"][..]), a_command()), 1..200)
    ) {
        let (registry, mut model) = (ServiceRegistry::new(), Model::default());
        let mut changes = registry.subscribe();
        let mut follower = Follower::new(&registry, None);
        for (name, command) in walk {
            let before = registry.get_service(name);
            let outcome = apply(&registry, name, command.clone());
            prop_assert_eq!(outcome, model.apply(name, command));
            if let (Some(before), Some(after)) = (before, registry.get_service(name)) {
                prop_assert!(before.restart_count <= after.restart_count);
                prop_assert!(before.generation <= after.generation);
            }
        }
        check(&registry, &model);

        for seq in 1..=model.changes {
            let change = changes.try_recv().expect("is told");
            prop_assert_eq!(change.seq, seq);
            prop_assert!(is_documented(change.old_state, change.new_state));
        }
        prop_assert!(changes.try_recv().is_err(), "nothing else is told");

        follower.catch_up();
        follower.assert_copy_of(&registry);
    }
}
