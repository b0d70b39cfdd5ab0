//! What a published crate brings along for its readers.

use super::Violation;
use crate::workspace::Package;

/// Checks a published crate's texts; a file that is missing is as good as an empty one.
pub(super) fn check(package: &Package, readme: &str, changelog: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut report = |file: &str, message: &str| {
        violations.push(Violation::new(package.file(file), "papers", message));
    };
    if package
        .description
        .as_deref()
        .is_none_or(|text| text.trim().is_empty())
    {
        report("Cargo.toml", "a published crate has a description");
    }
    if package.license.is_none() {
        report("Cargo.toml", "a published crate has a licence");
    }
    if readme.trim().is_empty() {
        report("README.md", "missing or empty: it is the crate's page");
    }
    let sections = ["[Unreleased]".to_owned(), format!("[{}]", package.version)];
    let mut titles = changelog
        .lines()
        .filter_map(|line| line.strip_prefix("## "));
    if !titles.any(|title| {
        sections
            .iter()
            .any(|section| title.starts_with(section.as_str()))
    }) {
        report(
            "CHANGELOG.md",
            "has no section `## [Unreleased]` and none for this version",
        );
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::tests::package;

    fn thjalfi() -> Package {
        Package {
            version: "0.1.0".into(),
            description: Some("Service loader".into()),
            license: Some("MIT".into()),
            ..package("thjalfi", &[])
        }
    }

    #[test]
    fn a_crate_with_all_its_papers_passes() {
        for changelog in [
            "# Changes\n\n## [Unreleased]\n",
            "## [0.1.0] - 2026-11-24\n",
        ] {
            assert_eq!(check(&thjalfi(), "# thjalfi", changelog), []);
        }
    }

    #[test]
    fn every_missing_paper_is_reported() {
        let violations = check(&package("thjalfi", &[]), "", "");
        assert_eq!(violations.len(), 4, "{violations:?}");
    }

    #[test]
    fn a_changelog_that_ends_with_an_older_version_is_reported() {
        let violations = check(&thjalfi(), "# thjalfi", "## [0.0.9]\n");
        assert_eq!(violations.len(), 1, "{violations:?}");
        assert_eq!(violations[0].place, "crates/thjalfi/CHANGELOG.md");
    }
}
