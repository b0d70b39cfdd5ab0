//! What a new set of definitions changes, field by field, and what has to be done about it. Pure.

use std::{
    borrow::Borrow,
    collections::{HashMap, HashSet},
    fmt,
    time::SystemTime,
};

use crate::{GladsheimError, ServiceDefinition};

mod difference;
#[cfg(test)]
mod test;

/// What a reload does, or would do: removed services first, then all others in their new order.
#[derive(Debug, Default)]
pub struct Plan {
    /// One step for each service, before or after.
    pub steps: Vec<PlanStep>,
}

/// What a reload does with one service.
#[derive(Debug)]
pub struct PlanStep {
    /// Name of the service.
    pub service_name: String,
    /// What is done.
    pub action: PlanAction,
    /// What changed in its definition; empty for services that come or go.
    pub fields: Vec<FieldChange>,
    /// What went wrong when it was carried out.
    pub error: Option<GladsheimError>,
}

/// What is done with a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PlanAction {
    /// It is new: registered, and started if it has `autostart`.
    Add,
    /// It is gone: stopped, and forgotten.
    Remove,
    /// Something changed that a process cannot take on: it is stopped and started anew. A service that
    /// has crashed or failed is started too, since the change may be the cure.
    Restart,
    /// Everything that changed holds at once; its process stays.
    Apply,
    /// Its process stays, or none runs, and what changed holds from the next start on.
    NextStart,
    /// Nothing changed.
    None,
}

/// One field that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// The key in the hall file, for example `restart.max_attempts`.
    pub field: String,
    /// Its value before, for a person. Values of environment variables are not shown.
    pub old: String,
    /// Its value from now on.
    pub new: String,
    /// When it takes effect.
    pub effect: Effect,
}

/// When a changed field takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// At once, without touching the process.
    Live,
    /// At the next start, whenever that is.
    NextStart,
    /// By a restart, which follows at once.
    Restart,
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.field, self.old, self.new)
    }
}

impl PlanAction {
    /// All actions, in the order in which they are declared.
    pub const ALL: [Self; 6] = [
        Self::Add,
        Self::Remove,
        Self::Restart,
        Self::Apply,
        Self::NextStart,
        Self::None,
    ];

    /// The name used in JSON, on the wire and in text, for example `next_start`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Restart => "restart",
            Self::Apply => "apply",
            Self::NextStart => "next_start",
            Self::None => "none",
        }
    }
}

impl Plan {
    /// The names of the services that a step of this kind is for, in order.
    pub(crate) fn names(&self, action: PlanAction) -> impl Iterator<Item = &str> {
        self.steps
            .iter()
            .filter(move |step| step.action == action)
            .map(|step| step.service_name.as_str())
    }
}

/// What leads from the old definitions to the new ones, if all services run: see
/// [`Gladsheim::plan`](crate::Gladsheim::plan) for those that do not.
pub fn plan(old: &[impl Borrow<ServiceDefinition>], new: &[ServiceDefinition]) -> Plan {
    plan_for(old, new, |_| None)
}

/// The same, where `started` tells when the present run of a service has begun: so that it is known which
/// content of a file that run has read.
pub(crate) fn plan_for(
    old: &[impl Borrow<ServiceDefinition>],
    new: &[ServiceDefinition],
    started: impl Fn(&str) -> Option<SystemTime>,
) -> Plan {
    let before: HashMap<&str, &ServiceDefinition> = old
        .iter()
        .map(|service| (service.borrow().name.as_str(), service.borrow()))
        .collect();
    let after: HashSet<&str> = new.iter().map(|service| service.name.as_str()).collect();
    let step = |name: &str, action, fields| PlanStep {
        service_name: name.to_owned(),
        action,
        fields,
        error: None,
    };
    let removed = old
        .iter()
        .map(|service| service.borrow().name.as_str())
        .filter(|name| !after.contains(name))
        .map(|name| step(name, PlanAction::Remove, Vec::new()));
    let others = new.iter().map(|service| match before.get(&*service.name) {
        None => step(&service.name, PlanAction::Add, Vec::new()),
        Some(before) => {
            let fields = difference::between(before, service, started(&service.name));
            let action = match fields.iter().map(|change| change.effect).max() {
                None => PlanAction::None,
                Some(Effect::Live) => PlanAction::Apply,
                Some(Effect::NextStart) => PlanAction::NextStart,
                Some(Effect::Restart) => PlanAction::Restart,
            };
            step(&service.name, action, fields)
        }
    });
    Plan {
        steps: removed.chain(others).collect(),
    }
}
