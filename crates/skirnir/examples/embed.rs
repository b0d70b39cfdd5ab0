//! A program that keeps its own workers in a registry: `cargo run -p skirnir --example embed`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{collections::HashMap, error::Error, time::SystemTime};

use skirnir::{
    Cause, RunEnd, ServiceFilter, ServiceMetadata, ServiceRegistry, ServiceState, Transition,
};

fn main() -> Result<(), Box<dyn Error>> {
    let registry = ServiceRegistry::new();
    registry.on_state_change(|change| {
        println!(
            "{} {}: {} -> {}",
            change.seq, change.service_name, change.old_state, change.new_state
        );
    });

    let thor = ServiceMetadata {
        custom: HashMap::from([("role".into(), "web".into())]),
        endpoints: vec!["http://127.0.0.1:8081".into()],
        ..ServiceMetadata::default()
    };
    registry.register_service("thor".into(), thor)?;
    registry.update_state("thor", ServiceState::Starting)?;
    registry.record_start("thor", 4242, SystemTime::now())?;
    registry.update_state("thor", ServiceState::Running)?;

    let web = ServiceFilter::default().metadata("role", "web");
    for service in registry.find_services(&web) {
        println!(
            "{} listens at {:?}",
            service.service_name, service.endpoints
        );
    }

    let end = RunEnd {
        cause: Cause::Signal,
        exit_code: None,
        signal: Some(11),
        error_message: Some("killed by SIGSEGV".into()),
        at: SystemTime::now(),
    };
    registry.record_end("thor", end)?;
    let crashed = Transition {
        cause: Some(Cause::Signal),
        ..Transition::to(ServiceState::Crashed)
    };
    registry.transition("thor", crashed)?;

    let refused = registry.update_state("thor", ServiceState::Running);
    println!("{refused:?}");
    println!("{:?}", registry.get_statistics());
    Ok(())
}
