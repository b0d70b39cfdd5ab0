//! A plan says exactly what the reload then does, whatever changes and whatever runs.

use std::{collections::BTreeSet, time::Duration};

use gladsheim_core::{Plan, PlanAction, PlanStep, ServiceDefinition, StopOptions};
use proptest::{prelude::*, sample::select};

use crate::hall::{open, service};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// What somebody does to one section of the hall file.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Edit {
    Nothing,
    Arguments,
    Attempts,
    StartupTimeout,
    Autostart,
    Removal,
}

const EDITS: [Edit; 6] = [
    Edit::Nothing,
    Edit::Arguments,
    Edit::Attempts,
    Edit::StartupTimeout,
    Edit::Autostart,
    Edit::Removal,
];

impl Edit {
    fn apply(self, mut service: ServiceDefinition) -> Option<ServiceDefinition> {
        match self {
            Self::Nothing => {}
            Self::Arguments => service.start.args.push("-v".into()),
            Self::Attempts => service.monitor.restart.max_attempts = 9,
            Self::StartupTimeout => service.start.startup_timeout = Duration::from_secs(99),
            Self::Autostart => service.autostart = false,
            Self::Removal => return None,
        }
        Some(service)
    }
}

fn told(plan: &Plan) -> Vec<(String, PlanAction, Vec<String>)> {
    let step = |step: &PlanStep| {
        let fields = step.fields.iter().map(ToString::to_string).collect();
        (step.service_name.clone(), step.action, fields)
    };
    plan.steps.iter().map(step).collect()
}

fn names(plan: &Plan, wanted: impl Fn(&PlanStep) -> bool) -> BTreeSet<String> {
    let steps = plan.steps.iter().filter(|step| wanted(step));
    steps.map(|step| step.service_name.clone()).collect()
}

async fn compare(edits: [Edit; 4], stopped: [bool; 4], added: Option<bool>, reversed: bool) {
    let services = NAMES.map(|name| service(name, &[]));
    let (hall, script) = open(services.to_vec()).await;
    let mut progress = hall.bring_up(&[]).unwrap();
    while let Some(one) = progress.recv().await {
        one.result.unwrap();
    }
    let mut running = BTreeSet::new();
    for (name, stopped) in NAMES.into_iter().zip(stopped) {
        if stopped {
            hall.stop_service(name, StopOptions::default())
                .await
                .unwrap();
        } else {
            running.insert(name.to_owned());
        }
    }
    let edited = services.into_iter().zip(edits);
    let mut new: Vec<_> = edited.filter_map(|(old, edit)| edit.apply(old)).collect();
    new.extend(added.map(|autostart| ServiceDefinition {
        autostart,
        ..service("guest", &[])
    }));
    if reversed {
        new.reverse();
    }
    script.calls.lock().unwrap().clear();

    let plan = hall.plan(&new).unwrap();
    assert_eq!(
        script.calls(&[""]),
        Vec::<String>::new(),
        "a plan only looks"
    );
    let done = hall.reload(new.clone()).await.unwrap();
    assert_eq!(told(&plan), told(&done));
    assert!(
        done.steps.iter().all(|step| step.error.is_none()),
        "{done:?}"
    );

    let called = |call: &str| -> BTreeSet<String> {
        let calls = script.calls(&[call]).into_iter();
        calls
            .filter_map(|call| call.split(' ').nth(1).map(str::to_owned))
            .collect()
    };
    let taken_down = names(&plan, |step| match step.action {
        PlanAction::Restart => true,
        PlanAction::Remove => running.contains(&step.service_name),
        PlanAction::Add | PlanAction::Apply | PlanAction::NextStart | PlanAction::None => false,
    });
    assert_eq!(called("thjalfi.stop"), taken_down);
    let brought_up = names(&plan, |step| match step.action {
        PlanAction::Restart => true,
        PlanAction::Add => added == Some(true),
        PlanAction::Remove | PlanAction::Apply | PlanAction::NextStart | PlanAction::None => false,
    });
    assert_eq!(called("thjalfi.launch"), brought_up);
    assert!(called("thjalfi.kill").is_empty());
    // It is done, once and for all.
    let after = hall.plan(&new).unwrap();
    assert!(names(&after, |step| step.action != PlanAction::None).is_empty());
}

proptest! {
    #[test]
    fn a_plan_is_what_the_reload_does(
        edits in prop::array::uniform4(select(&EDITS[..])),
        stopped in any::<[bool; 4]>(),
        added in any::<Option<bool>>(),
        reversed in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(compare(edits, stopped, added, reversed));
    }
}
