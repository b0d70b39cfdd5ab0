//! `check`: says all that is wrong with the hall file, and starts nothing.

use std::process::ExitCode;

use serde::Serialize;

use super::{CliError, load_hall};
use crate::{
    cli::{Format, Global},
    hall::{Diagnostic, Environment, check_environment},
    output::{self, Output},
};

/// The JSON of a hall file that can be used.
#[derive(Debug, Serialize)]
struct CheckDocument<'a> {
    file: String,
    services: Vec<&'a str>,
    warnings: Vec<String>,
}

/// `check`
pub(crate) fn check(global: &Global, output: Output) -> Result<ExitCode, CliError> {
    let hall = load_hall(global)?;
    hall.grants().map_err(CliError::HallFile)?;
    let mut warnings = hall.warnings.clone();
    warnings.extend(check_environment(&hall, &Environment::of_process()));
    warn_of(&warnings);
    let services: Vec<_> = hall
        .config
        .services
        .iter()
        .map(|service| &*service.name)
        .collect();
    match output.format {
        Format::Json => output.json(&CheckDocument {
            file: hall.file.display().to_string(),
            services,
            warnings: warnings.iter().map(ToString::to_string).collect(),
        })?,
        Format::Table => output.line(&format!(
            "{}: ok, {}, {}",
            hall.file.display(),
            count(services.len(), "service"),
            count(warnings.len(), "warning"),
        ))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints diagnostics on standard error, a line each.
pub(crate) fn warn_of(diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        output::warn(&format!("{diagnostic}\n"));
    }
}

pub(super) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
