//! Names as patterns: `web-*` stands for all services whose names match.

use gladsheim_proto::v1::ListServicesRequest;
use glob::Pattern;

use super::{CliError, Session};

impl Session {
    /// The services that are meant, each once: a pattern stands for those that it matches, in the order of the
    /// hall file. Other names are left as they are, whether there is such a service or not.
    pub(super) async fn named(&self, names: Vec<String>) -> Result<Vec<String>, CliError> {
        // No service can have such a name.
        let is_pattern =
            |name: &str| name.contains(['*', '?', '[']) && !name.contains(char::is_control);
        if !names.iter().any(|name| is_pattern(name)) {
            return Ok(names);
        }
        let list = self
            .client
            .list_services(ListServicesRequest::default())
            .await;
        let list = list
            .map_err(|status| CliError::of_status(None, status))?
            .services;
        let mut meant: Vec<String> = Vec::new();
        for name in names {
            if !is_pattern(&name) {
                meant.push(name);
                continue;
            }
            let pattern = Pattern::new(&name).map_err(|error| CliError::Pattern {
                pattern: name.clone(),
                message: error.msg,
            })?;
            let known = list.iter().map(|status| &status.service_name);
            let matching: Vec<_> = known
                .filter(|known| pattern.matches(known))
                .cloned()
                .collect();
            if matching.is_empty() {
                return Err(CliError::NoMatch { pattern: name });
            }
            meant.extend(matching);
        }
        let mut seen = std::collections::HashSet::new();
        meant.retain(|name| seen.insert(name.clone()));
        Ok(meant)
    }
}
