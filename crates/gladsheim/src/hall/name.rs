//! Names: which are allowed, and which one was probably meant.

/// Most bytes that a name may have.
pub(crate) const LONGEST_NAME: usize = 64;

/// Checks the name of a service or group: `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`.
pub(super) fn check(name: &str) -> Result<(), String> {
    let first_fits = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    let rest_fits = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if name.len() > LONGEST_NAME {
        let start: String = name.chars().take(16).collect();
        Err(format!(
            "the name `{start}…` has {} bytes; at most {LONGEST_NAME} are allowed",
            name.len()
        ))
    } else if first_fits && rest_fits {
        Ok(())
    } else {
        Err(format!(
            "`{name}` is not a name: a letter or digit first, then letters, digits, `.`, `_` and `-`"
        ))
    }
}

/// The candidate that `name` was probably meant to be.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // About one slip for four letters: `intervall` is `interval`, `cat` is not `dog`. Longer texts are
    // no slip of the finger, and comparing them would take time in the square of their length.
    if name.len() > 64 {
        return None;
    }
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance < name.len() && *distance <= 1 + candidate.len() / 4
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `; did you mean …?` for the end of a message, or nothing.
pub(super) fn hint<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, candidates)
        .map(|nearest| format!("; did you mean `{nearest}`?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_the_contract() {
        let longest = "a".repeat(64);
        for good in ["a", "9", "thor", "a.b_c-d", longest.as_str()] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let too_long = "a".repeat(65);
        for bad in [
            "", ".", "-a", "_a", "a/b", "a b", "ä", "a\0", "..", &too_long,
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let known = ["interval", "timeout", "http"];
        for (name, expected) in [
            ("intervall", Some("interval")),
            ("timoeut", Some("timeout")),
            ("htpp", Some("http")),
            ("weather", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }
}
