//! A stranger's program with a hall of its own: two services, one after the other, and their events.

#![expect(
    clippy::print_stdout,
    reason = "an example talks to the person who runs it"
)]

use gladsheim_core::{
    Dependency, DependencyCondition, Gladsheim, GladsheimConfig, Result, ServiceDefinition,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut db = ServiceDefinition::new("db", "/bin/sleep");
    db.start.args = vec!["1000".to_owned()];
    let mut web = ServiceDefinition::new("web", "sleep"); // looked up in PATH
    web.start.args = vec!["1000".to_owned()];
    web.depends_on = vec![Dependency {
        service_name: "db".to_owned(),
        condition: DependencyCondition::Healthy,
        required: true,
    }];

    let config = GladsheimConfig {
        services: vec![web, db],
        ..GladsheimConfig::default()
    };
    let hall = Gladsheim::new(config);
    let mut events = hall.events_since(0);
    hall.start().await?;
    let mut progress = hall.bring_up(&[])?;
    while let Some(one) = progress.recv().await {
        println!("{} is {}", one.service_name, one.result?.state);
    }
    hall.shutdown().await?;
    while let Some(event) = events.try_next() {
        println!(
            "{:>3} {} {}",
            event.seq,
            event.kind.name(),
            event.kind.service_name().unwrap_or("-")
        );
    }
    Ok(())
}
