//! Questions: status, health, resources, discovery.

use std::{collections::HashMap, process::ExitCode};

use gladsheim_proto::v1::{
    CheckHealthRequest, GetHealthRequest, GetResourceLimitsRequest, GetResourceUsageRequest,
    GetServiceStatusRequest, GetStatisticsRequest, GetSystemUsageRequest, ListServicesRequest,
    ServiceHealth, ServiceStatus, SetLogLevelRequest, SetResourceLimitsRequest,
};

use super::{CliError, Session, about};
use crate::{
    cli::{Endpoints, Format, Limits, LogLevel, Name, Names},
    output::{self, health::HealthDocument, resource},
};

/// `endpoints`
pub(super) async fn endpoints(session: &Session, args: Endpoints) -> Result<ExitCode, CliError> {
    let names = &args.names.names;
    let services = services(session, names, String::new(), args.filter.pairs()).await?;
    match session.output.format {
        Format::Json => session
            .output
            .json(&output::status::endpoint_documents(&services))?,
        Format::Table => {
            session
                .output
                .line(&output::status::endpoint_table(&services, session.output))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// All services that pass the filters, or the named ones of them in the order of their naming.
pub(super) async fn services(
    session: &Session,
    names: &[String],
    state: String,
    metadata: HashMap<String, String>,
) -> Result<Vec<ServiceStatus>, CliError> {
    if names.is_empty() {
        let request = ListServicesRequest {
            state,
            r#where: metadata,
        };
        let list = session.client.list_services(request).await;
        return Ok(list
            .map_err(|status| CliError::of_status(None, status))?
            .services);
    }
    let mut services = Vec::new();
    for name in &session.named(names.to_vec()).await? {
        let request = GetServiceStatusRequest {
            service_name: name.clone(),
        };
        let status = session
            .client
            .get_service_status(request)
            .await
            .map_err(about(name))?;
        let matches = |(key, value)| status.metadata.get(key) == Some(value);
        if (state.is_empty() || status.state == state) && metadata.iter().all(matches) {
            services.push(status);
        }
    }
    Ok(services)
}

/// `health`
pub(super) async fn health(session: &Session, args: Name) -> Result<ExitCode, CliError> {
    let request = GetHealthRequest {
        service_name: args.name.clone(),
    };
    let health = session
        .client
        .get_health(request)
        .await
        .map_err(about(&args.name))?;
    show_health(session, &health)?;
    Ok(ExitCode::SUCCESS)
}

/// `check-health`
pub(super) async fn check_health(session: &Session, args: Name) -> Result<ExitCode, CliError> {
    let request = CheckHealthRequest {
        service_name: args.name.clone(),
    };
    let health = session
        .client
        .check_health(request)
        .await
        .map_err(about(&args.name))?;
    show_health(session, &health)?;
    Ok(if health.status == "healthy" {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn show_health(session: &Session, health: &ServiceHealth) -> Result<(), CliError> {
    match session.output.format {
        Format::Json => session.output.json(&HealthDocument::from(health))?,
        Format::Table => {
            session
                .output
                .line(&output::health::sentence(health, session.output))?;
        }
    }
    Ok(())
}

/// `usage`
pub(super) async fn usage(session: &Session, args: Names) -> Result<ExitCode, CliError> {
    let refused = |status| CliError::of_status(None, status);
    let system = session
        .client
        .get_system_usage(GetSystemUsageRequest {})
        .await;
    let system = system.map_err(refused)?;
    let mut names = session.named(args.names).await?;
    let all = names.is_empty();
    if all {
        let list = session
            .client
            .list_services(ListServicesRequest::default())
            .await;
        let measured = |status: &ServiceStatus| status.memory_bytes.is_some();
        let list = list.map_err(refused)?.services.into_iter().filter(measured);
        names = list.map(|status| status.service_name).collect();
    }
    let mut services = Vec::new();
    for name in names {
        let request = GetResourceUsageRequest {
            service_name: name.clone(),
        };
        match session.client.get_resource_usage(request).await {
            Ok(usage) => services.push(usage),
            // It may have ended since it was listed.
            Err(_) if all => {}
            Err(status) => return Err(about(&name)(status)),
        }
    }
    match session.output.format {
        Format::Json => session
            .output
            .json(&resource::UsageDocument::new(&system, &services))?,
        Format::Table => {
            session
                .output
                .line(&resource::usage(&system, &services, session.output))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `limits`
pub(super) async fn limits(session: &Session, args: Limits) -> Result<ExitCode, CliError> {
    let Limits {
        name,
        memory,
        cpu,
        memory_warning,
        cpu_warning,
    } = args;
    let changes = memory.is_some()
        || [cpu, memory_warning, cpu_warning]
            .iter()
            .any(Option::is_some);
    let limits = if changes {
        let request = SetResourceLimitsRequest {
            service_name: name.clone(),
            max_memory_bytes: memory,
            max_cpu_percent: cpu,
            memory_warning_percent: memory_warning,
            cpu_warning_percent: cpu_warning,
        };
        session.client.set_resource_limits(request).await
    } else {
        let request = GetResourceLimitsRequest {
            service_name: name.clone(),
        };
        session.client.get_resource_limits(request).await
    };
    let limits = limits.map_err(about(&name))?;
    match session.output.format {
        Format::Json => session
            .output
            .json(&resource::LimitsDocument::new(&name, &limits))?,
        Format::Table => session.output.line(&resource::limits(&name, &limits))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// `stats`
pub(super) async fn stats(session: &Session) -> Result<ExitCode, CliError> {
    let stats = session.client.get_statistics(GetStatisticsRequest {}).await;
    let stats = stats.map_err(|status| CliError::of_status(None, status))?;
    match session.output.format {
        Format::Json => session
            .output
            .json(&resource::statistics_document(&stats))?,
        Format::Table => session
            .output
            .line(&resource::statistics(&stats, session.output))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// `log-level`
pub(super) async fn log_level(session: &Session, args: LogLevel) -> Result<ExitCode, CliError> {
    let asked = args.level.is_none();
    let request = SetLogLevelRequest { level: args.level };
    let answer = session.client.set_log_level(request).await;
    let level = answer
        .map_err(|status| CliError::of_status(None, status))?
        .level;
    match session.output.format {
        Format::Json => session
            .output
            .json(&serde_json::json!({ "level": level }))?,
        // A change is told by its exit code.
        Format::Table if asked => session.output.line(&level)?,
        Format::Table => {}
    }
    Ok(ExitCode::SUCCESS)
}
