//! Services made by chance, and what a person might make of them.

use gladsheim_core::{
    Dependency, DependencyCondition, GroupStrategy, RestartGroup, ServiceDefinition,
};
use roskva::RestartMode;
use thjalfi::Readiness;

use crate::dice::Dice;

/// The one that comes and goes.
pub(crate) const GUEST: &str = "guest";

/// A service made by chance; it depends on earlier ones only.
pub(crate) fn service(number: u64, strategy: GroupStrategy, dice: &Dice) -> ServiceDefinition {
    let mut service = ServiceDefinition::new(format!("s{number}"), "/fake");
    for earlier in 0..number {
        if dice.chance(30) {
            service.depends_on.push(Dependency {
                service_name: format!("s{earlier}"),
                // Not `Completed`: of a service that runs for ever, it rightly never holds.
                condition: DependencyCondition::ALL[dice.below(3) as usize],
                required: dice.chance(70),
            });
        }
    }
    if dice.chance(40) {
        service.restart_group = Some(RestartGroup {
            name: format!("g{}", dice.below(2)),
            strategy,
        });
    }
    service.ready_by_health = dice.chance(20);
    if dice.chance(40) {
        service.start.readiness = Readiness::Notify;
    }
    let restart = &mut service.monitor.restart;
    restart.mode = [
        RestartMode::Always,
        RestartMode::OnFailure,
        RestartMode::Never,
    ][dice.below(3) as usize];
    restart.max_attempts = dice.below(5) as u32;
    service
}

/// What the story turns on, in one line.
pub(crate) fn describe(service: &ServiceDefinition) -> String {
    let needs = service.depends_on.iter().map(|needed| {
        let condition = needed.condition.as_str();
        let soft = if needed.required { "" } else { "?" };
        format!("{}:{condition}{soft}", needed.service_name)
    });
    let needs: Vec<_> = needs.collect();
    let group = service.restart_group.as_ref();
    format!(
        "{} needs [{}] group {} restart {:?} {}",
        service.name,
        needs.join(" "),
        group.map_or_else(|| "none".to_owned(), ToString::to_string),
        service.monitor.restart.mode,
        service.monitor.restart.max_attempts,
    )
}

/// The services as a person might have changed them: all are still there, and one may come or go.
pub(crate) fn changed(services: &[ServiceDefinition], dice: &Dice) -> Vec<ServiceDefinition> {
    let mut changed = services.to_vec();
    for service in &mut changed {
        match dice.below(6) {
            0 => service.start.args = vec![dice.below(3).to_string()],
            1 => service.monitor.restart.max_attempts = dice.below(5) as u32,
            2 => service.depends_on.clear(),
            3 => {
                let group = service.restart_group.take();
                service.restart_group =
                    group.filter(|_| dice.chance(50)).map(|group| RestartGroup {
                        name: format!("g{}", dice.below(2)),
                        ..group
                    });
            }
            _ => {}
        }
    }
    if dice.chance(50) {
        changed.push(ServiceDefinition::new(GUEST, "/fake"));
    }
    if dice.chance(50) {
        changed.reverse();
    }
    changed
}
