//! Which services a question is about.

use std::collections::BTreeMap;

use crate::{ServiceMetadata, ServiceState};

/// Added: a choice of services; a service must meet everything that is set. The default is all services.
///
/// ```
/// use skirnir::{ServiceFilter, ServiceState};
///
/// let web = ServiceFilter::default()
///     .state(ServiceState::Running)
///     .metadata("role", "web");
/// # let _ = web; // nothing is asked here
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceFilter {
    /// In this state.
    pub state: Option<ServiceState>,
    /// With these values in the custom metadata.
    pub metadata: BTreeMap<String, String>,
    /// Listening here: an endpoint as it was declared (`http://127.0.0.1:8081/api`), or its address
    /// alone (`127.0.0.1:8081`).
    pub endpoint: Option<String>,
}

impl ServiceFilter {
    /// Narrows to services in `state`.
    #[must_use]
    pub fn state(mut self, state: ServiceState) -> Self {
        self.state = Some(state);
        self
    }

    /// Narrows to services with `value` under `key` in their custom metadata, for example `role=web`.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Narrows to services that listen at `endpoint`.
    #[must_use]
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// Whether a service is meant.
    pub fn matches(&self, service: &ServiceMetadata) -> bool {
        self.state.is_none_or(|state| service.state == state)
            && self
                .metadata
                .iter()
                .all(|(key, value)| service.custom.get(key) == Some(value))
            && self.endpoint.as_deref().is_none_or(|wanted| {
                service
                    .endpoints
                    .iter()
                    .any(|endpoint| endpoint == wanted || address(endpoint) == wanted)
            })
    }
}

/// The address in an endpoint: `http://HOST:PORT/path`, `tcp:HOST:PORT`, `udp:HOST:PORT`, `unix:PATH`.
fn address(endpoint: &str) -> &str {
    if let Some((_scheme, rest)) = endpoint.split_once("://") {
        return rest.split('/').next().unwrap_or(rest);
    }
    ["tcp:", "udp:", "unix:"]
        .into_iter()
        .find_map(|scheme| endpoint.strip_prefix(scheme))
        .unwrap_or(endpoint)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn thor() -> ServiceMetadata {
        ServiceMetadata {
            service_name: "thor".into(),
            state: ServiceState::Running,
            custom: HashMap::from([("role".into(), "web".into()), ("tier".into(), "1".into())]),
            endpoints: vec!["http://127.0.0.1:8081/api".into(), "unix:/run/thor".into()],
            ..ServiceMetadata::default()
        }
    }

    #[test]
    fn a_service_must_meet_everything_that_is_set() {
        let all = ServiceFilter::default();
        let web = all.clone().metadata("role", "web");
        let running = web.clone().state(ServiceState::Running);
        for filter in [&all, &web, &running] {
            assert!(filter.matches(&thor()), "{filter:?}");
        }
        for filter in [
            web.clone().state(ServiceState::Stopped),
            running.metadata("tier", "2"),
            web.metadata("colour", "red"),
        ] {
            assert!(!filter.matches(&thor()), "{filter:?}");
        }
    }

    #[test]
    fn an_endpoint_is_found_as_declared_and_by_its_address() {
        for (wanted, found) in [
            ("http://127.0.0.1:8081/api", true),
            ("127.0.0.1:8081", true),
            ("unix:/run/thor", true),
            ("/run/thor", true),
            ("127.0.0.1:808", false),
            ("127.0.0.1", false),
            ("", false),
        ] {
            let filter = ServiceFilter::default().endpoint(wanted);
            assert_eq!(filter.matches(&thor()), found, "{wanted}");
        }
    }
}
