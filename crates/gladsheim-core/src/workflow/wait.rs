//! Waiting for something to become true of a service.

use crate::{
    Gladsheim, GladsheimError, Result, ServiceStatus, WaitCondition, actor::facts::Verdict,
};

impl Gladsheim {
    /// Waits until `condition` holds of a service.
    ///
    /// For [`WaitCondition::Exited`], `exit_code` and `signal` of the status are those of the run that
    /// ended. Has no timeout of its own. Cancel safe.
    ///
    /// # Errors
    ///
    /// `ServiceNotFound`; `WaitFailed` if the service has failed, so that it cannot come true by itself.
    pub async fn wait_for(&self, name: &str, condition: WaitCondition) -> Result<ServiceStatus> {
        let not_found = || GladsheimError::ServiceNotFound(name.to_owned());
        let facts = self.hall.directory.facts(name).ok_or_else(not_found)?;
        let ends = facts.read(|facts| facts.ends);
        let verdict = facts
            .until(|facts| facts.wait(condition, ends).decided())
            .await
            .ok_or_else(not_found)?;
        match verdict {
            Verdict::Never(reason) => Err(GladsheimError::WaitFailed {
                service_name: name.to_owned(),
                reason,
            }),
            Verdict::Holds | Verdict::NotYet => self.get_service_status(name),
        }
    }
}
