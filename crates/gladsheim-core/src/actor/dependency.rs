//! Waiting for the dependencies of one service.

use std::{future::Future, pin::Pin, sync::Arc};

use tokio::sync::oneshot;

use crate::{
    Dependency, DependencyCondition, GladsheimError, Result, ServiceDefinition, StartOverrides,
    actor::{board::Reader, command::Command, facts::Verdict},
    directory::Directory,
};

type Waiting = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// A future that starts what is missing and ends when all conditions hold, or when a required one
/// never will; with what is waited for, in words. `None` if all conditions hold already. With `only_active`, nothing is
/// started: what does not come up by itself is not waited for.
pub(super) fn wait_for_all(
    definition: &Arc<ServiceDefinition>,
    directory: &Arc<Directory>,
    only_active: bool,
) -> Option<(Waiting, String)> {
    let missing: Vec<Dependency> = definition
        .depends_on
        .iter()
        .filter(|dependency| {
            directory
                .facts(&dependency.service_name)
                .is_none_or(|facts| {
                    facts.read(|facts| {
                        !facts.dependency(dependency.condition) && (facts.active || !only_active)
                    })
                })
        })
        .cloned()
        .collect();
    if missing.is_empty() {
        return None;
    }
    let reason = format!(
        "waiting for {}",
        missing.iter().map(describe).collect::<Vec<_>>().join(", ")
    );
    let definition = Arc::clone(definition);
    let directory = Arc::clone(directory);
    let waiting = async move {
        // All are asked to start before the first one is waited for.
        let asked: Vec<_> = missing
            .iter()
            .map(|dependency| {
                (
                    dependency,
                    ask_to_start(&directory, &dependency.service_name),
                )
            })
            .collect();
        for (dependency, asked) in asked {
            let verdict = match asked {
                Some((facts, reply)) => until_decided(facts, reply, dependency.condition).await,
                None => Verdict::Never("is not defined".to_owned()),
            };
            if let Verdict::Never(why) = verdict
                && dependency.required
            {
                return Err(GladsheimError::DependencyFailed {
                    service_name: definition.name.clone(),
                    reason: format!("its dependency {} {why}", dependency.service_name),
                });
            }
        }
        Ok(())
    };
    Some((Box::pin(waiting), reason))
}

fn describe(dependency: &Dependency) -> String {
    match dependency.condition {
        DependencyCondition::Started => dependency.service_name.clone(),
        condition => format!("{} ({})", dependency.service_name, condition.as_str()),
    }
}

type Asked = (Reader, oneshot::Receiver<Result<()>>);

fn ask_to_start(directory: &Directory, name: &str) -> Option<Asked> {
    let facts = directory.facts(name)?;
    let (answer, reply) = oneshot::channel();
    directory.send(
        name,
        Command::Start {
            overrides: StartOverrides::default(),
            join: true,
            reply: Box::new(move |outcome| {
                // The dependent may have given up waiting.
                let _ = answer.send(outcome);
            }),
        },
    );
    Some((facts, reply))
}

/// Waits until the condition holds, or until the dependency has answered and cannot fulfil it.
async fn until_decided(
    facts: Reader,
    reply: oneshot::Receiver<Result<()>>,
    condition: DependencyCondition,
) -> Verdict {
    tokio::select! {
        biased;
        held = facts.until(|facts| facts.dependency(condition).then_some(Verdict::Holds)) => {
            return held.unwrap_or_else(gone);
        }
        // Answered, or dropped by an actor that ended: from here on the facts decide.
        _ = reply => {}
    }
    facts
        .until(|facts| facts.started_dependency(condition).decided())
        .await
        .unwrap_or_else(gone)
}

fn gone() -> Verdict {
    Verdict::Never("was removed".to_owned())
}
