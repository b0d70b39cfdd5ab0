//! `cargo xtask release-check`: could each crate be published as it stands?
//!
//! Nothing is uploaded. Crates of the family that are not on the registry yet are taken from the
//! packages made in the same run, so it works before the first release too.

use crate::{
    api,
    command::{self, cargo},
    workspace::{Package, Workspace},
};

/// How thoroughly.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Also build each crate from its unpacked package
    #[arg(long)]
    verify: bool,
}

/// Checks each crate alone, with each choice of features, and packages all of them.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let workspace = Workspace::load()?;
    let order = workspace.publishing_order()?;
    let names: Vec<_> = order.iter().map(|package| package.name.as_str()).collect();
    println!("publishing order: {}", names.join(", "));

    for package in &order {
        for features in feature_choices(package) {
            // Code that only one choice leaves unused is a warning that the whole workspace hides.
            let mut check = cargo(["clippy", "--package", &package.name]);
            command::run(check.args(features).args(["--", "--deny=warnings"]))?;
        }
    }

    // What is checked is the working tree; whether it is committed is the releaser's business.
    let mut pack = cargo(["package", "--allow-dirty"]);
    pack.args((!args.verify).then_some("--no-verify"));
    command::run(pack.args(names.iter().map(|name| format!("--package={name}"))))?;

    api::run(&api::Args { check: true })
}

/// The flags for checking with the default, no and all features, without those that build the same
/// thing again.
fn feature_choices(package: &Package) -> Vec<Option<&'static str>> {
    let has_default = package
        .features
        .get("default")
        .is_some_and(|named| !named.is_empty());
    let has_others = package.features.keys().any(|name| name != "default");
    let mut choices = vec![None];
    choices.extend(has_default.then_some(Some("--no-default-features")));
    choices.extend(has_others.then_some(Some("--all-features")));
    choices
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::tests::package;

    fn choices(features: &[(&str, &[&str])]) -> Vec<Option<&'static str>> {
        let features = features
            .iter()
            .map(|(name, named)| {
                (
                    (*name).into(),
                    named.iter().map(ToString::to_string).collect(),
                )
            })
            .collect();
        feature_choices(&Package {
            features,
            ..package("thjalfi", &[])
        })
    }

    #[test]
    fn a_crate_without_features_is_built_once() {
        assert_eq!(choices(&[]), [None]);
    }

    #[test]
    fn a_crate_whose_features_are_all_optional_is_built_without_and_with_them() {
        assert_eq!(
            choices(&[("mock", &["dep:mockall"])]),
            [None, Some("--all-features")]
        );
    }

    #[test]
    fn a_crate_with_default_features_is_built_without_them_too() {
        assert_eq!(
            choices(&[("default", &["grpc"]), ("grpc", &[])]),
            [None, Some("--no-default-features"), Some("--all-features")]
        );
    }
}
