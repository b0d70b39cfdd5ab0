//! `[services.X.restart]`: what follows when a run ends.

use gladsheim_core::roskva::{RestartMode, RestartPolicy};

use super::reader::Field;

/// Reads a section over the policy that `[health]` gives to all.
pub(super) fn read(field: Field<'_>, service: &str, common: RestartPolicy) -> RestartPolicy {
    // A common delay above the common cap raises the cap.
    let mut policy = RestartPolicy {
        backoff_max: common.backoff_max.max(common.backoff),
        ..common
    };
    let name = format!("[services.{service}.restart]");
    let Some(mut table) = field.table(name.as_str()) else {
        return policy;
    };
    policy.mode = table
        .field("policy")
        .one_of(&[
            ("always", RestartMode::Always),
            ("on-failure", RestartMode::OnFailure),
            ("never", RestartMode::Never),
        ])
        .or(policy.mode);
    policy.max_attempts = table
        .field("max_attempts")
        .integer(0..=u32::MAX)
        .or(policy.max_attempts);
    policy.window = table
        .field("window")
        .duration()
        .positive()
        .or(policy.window);
    policy.backoff = table.field("backoff").duration().or(policy.backoff);
    policy.backoff_factor = table
        .field("backoff_factor")
        .number(1.0..=f64::MAX)
        .or(policy.backoff_factor);
    let backoff = policy.backoff;
    policy.backoff_max = table
        .field("backoff_max")
        .duration()
        .then(|most| {
            if most < backoff {
                Err(format!("is shorter than the first delay, {backoff:?}"))
            } else {
                Ok(most)
            }
        })
        .or(policy.backoff_max.max(backoff));
    policy.success_exit_codes = table
        .field("success_exit_codes")
        .list(|item| item.integer(0..=255))
        .or(policy.success_exit_codes);
    policy.jitter = table.field("jitter").number(0.0..=1.0).or(policy.jitter);
    policy.reset_after = table
        .field("reset_after")
        .duration()
        .positive()
        .or(policy.reset_after);
    policy
}
