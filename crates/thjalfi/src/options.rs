//! Which options of a start make sense, judged before anything is done.

use crate::{
    StartOptions,
    error::{SpawnError, Stage},
};

/// Longest name of a service.
const NAME: usize = 64;

/// The first thing that is wrong with a start, if any.
pub(crate) fn check(service_name: &str, options: &StartOptions) -> Result<(), SpawnError> {
    let wrong = |stage, subject: String, what| Err(SpawnError::invalid(stage, subject, what));
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    // It becomes a part of file names.
    if service_name.len() > NAME
        || !service_name.starts_with(|c: char| c.is_ascii_alphanumeric())
        || !service_name.chars().all(plain)
    {
        return wrong(
            Stage::Options,
            "name".to_owned(),
            "must match [A-Za-z0-9][A-Za-z0-9._-]{0,63}",
        );
    }
    if let Some(umask) = options.umask.filter(|umask| *umask > 0o777) {
        return wrong(
            Stage::Options,
            format!("umask {umask:o}"),
            "must lie between 0 and 777",
        );
    }
    if let Some(nice) = options.nice.filter(|nice| !(-20..=19).contains(nice)) {
        return wrong(Stage::Nice, nice.to_string(), "must lie between -20 and 19");
    }
    if let Some(score) = options
        .oom_score_adj
        .filter(|score| !(-1000..=1000).contains(score))
    {
        return wrong(
            Stage::OomScoreAdj,
            score.to_string(),
            "must lie between -1000 and 1000",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::StartOptions;

    #[test]
    fn what_makes_no_sense_is_refused_before_anything_is_done() {
        let wrong = [
            (
                "thor",
                StartOptions {
                    umask: Some(0o1000),
                    ..StartOptions::default()
                },
            ),
            (
                "thor",
                StartOptions {
                    nice: Some(20),
                    ..StartOptions::default()
                },
            ),
            (
                "thor",
                StartOptions {
                    oom_score_adj: Some(-1001),
                    ..StartOptions::default()
                },
            ),
            ("../thor", StartOptions::default()),
            ("", StartOptions::default()),
            (".thor", StartOptions::default()),
        ];
        for (name, options) in wrong {
            assert!(check(name, &options).is_err(), "{name} {options:?}");
        }
        assert!(check("Thor-1.a_b", &StartOptions::default()).is_ok());
    }
}
