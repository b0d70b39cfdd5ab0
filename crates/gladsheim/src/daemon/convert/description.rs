//! One service at length, as a message of the wire.

use gladsheim_core::{Dependency, ServiceDescription, skirnir::StateChange, thjalfi::ProcessInfo};
use gladsheim_proto::v1;

use super::{status, unix_ms};

pub(crate) fn description(description: ServiceDescription) -> v1::ServiceDescription {
    let ServiceDescription {
        status: of_service,
        history,
        processes,
        depends_on,
    } = description;
    v1::ServiceDescription {
        status: Some(status(of_service)),
        history: history.into_iter().map(change).collect(),
        processes: processes.into_iter().map(process).collect(),
        depends_on: depends_on.into_iter().map(dependency).collect(),
    }
}

fn change(change: StateChange) -> v1::StateChange {
    v1::StateChange {
        at_unix_ms: unix_ms(change.timestamp),
        old_state: change.old_state.as_str().to_owned(),
        new_state: change.new_state.as_str().to_owned(),
        generation: change.generation,
        cause: change.cause.map(|cause| cause.as_str().to_owned()),
        reason: change.reason,
    }
}

fn process(process: ProcessInfo) -> v1::Process {
    v1::Process {
        process_id: process.pid,
        parent_process_id: process.parent,
        command: process.command,
        memory_bytes: process.memory_bytes,
    }
}

fn dependency(dependency: Dependency) -> v1::Dependency {
    v1::Dependency {
        service_name: dependency.service_name,
        condition: dependency.condition.as_str().to_owned(),
        optional: !dependency.required,
    }
}
