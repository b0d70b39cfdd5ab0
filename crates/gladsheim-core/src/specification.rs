//! The specification's own workflow example, compiled and run.
//!
//! It touches private fields of `Gladsheim`, so it lives here. The hall is not opened: nothing but the
//! example moves anything. The function is the specification's to the letter, its comments in English.

use std::{
    collections::HashMap,
    time::{Duration, UNIX_EPOCH},
};

use roskva::HealthCheckStrategy;
use skirnir::{ServiceMetadata, ServiceState};
use thjalfi::{ServiceLoaderConfig, StartOptions};

use crate::{Gladsheim, GladsheimConfig, GladsheimError, ServiceStatus};

/// Example: workflow of a service's start.
async fn start_service_workflow(
    gladsheim: &mut Gladsheim,
    service_name: &str,
    options: StartOptions,
) -> Result<ServiceStatus, GladsheimError> {
    // 1. Skirnir: check whether the service runs already
    if gladsheim.skirnir.is_registered(service_name) {
        let metadata = gladsheim.skirnir.get_service(service_name).unwrap();
        if metadata.state == ServiceState::Running {
            return Err(GladsheimError::AlreadyRunning(service_name.to_string()));
        }
    }

    // 2. Thjalfi: start the service
    let process = gladsheim
        .thjalfi
        .start_service(service_name, options)
        .await?;

    // 3. Skirnir: register the service
    gladsheim.skirnir.register_service(
        service_name.to_string(),
        ServiceMetadata {
            service_name: service_name.to_string(),
            process_id: process.pid,
            start_time: Some(process.start_time),
            state: ServiceState::Running,
            ..Default::default()
        },
    )?;

    // 4. Byggvir: resource monitoring starts by itself
    // Byggvir monitors all registered services

    // 5. Roskva: start health monitoring
    gladsheim
        .roskva
        .start_monitoring(
            service_name,
            HealthCheckStrategy::Http {
                url: format!("http://localhost:{}/health", get_service_port(service_name)),
                timeout: Duration::from_secs(5),
            },
        )
        .await?;

    // 6. Return the ServiceStatus
    Ok(ServiceStatus {
        service_name: service_name.to_string(),
        state: ServiceState::Running,
        process_id: process.pid as i32,
        start_time_unix: process
            .start_time
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs() as i64,
        ..Default::default()
    })
}

fn get_service_port(_service_name: &str) -> u16 {
    8081
}

#[tokio::test]
async fn the_specifications_workflow_starts_a_real_service() {
    let mut gladsheim = Gladsheim::new(GladsheimConfig {
        loader: ServiceLoaderConfig {
            service_paths: HashMap::from([("thor".to_owned(), "/bin/sleep".into())]),
            ..ServiceLoaderConfig::default()
        },
        ..GladsheimConfig::default()
    });
    let options = StartOptions {
        args: vec!["1000".to_owned()],
        ..StartOptions::default()
    };
    let status = start_service_workflow(&mut gladsheim, "thor", options.clone())
        .await
        .unwrap();
    assert_eq!(status.state, ServiceState::Running);
    assert!(
        status.process_id > 0 && status.start_time_unix > 0,
        "{status:?}"
    );
    assert_eq!(
        gladsheim.thjalfi.get_process("thor").unwrap().pid as i32,
        status.process_id
    );

    let again = start_service_workflow(&mut gladsheim, "thor", options).await;
    assert!(matches!(again, Err(GladsheimError::AlreadyRunning(name)) if name == "thor"));

    gladsheim
        .thjalfi
        .stop_service("thor", Duration::from_secs(10))
        .await
        .unwrap();
    assert!(!gladsheim.thjalfi.is_running("thor"));
}
