//! The lines that are printed.

use std::borrow::Cow;
use std::io::{Write as _, stdout};

use serde::Serialize;

/// One figure. A bound is the specification's, a goal is ours; both are upper ones.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Figure {
    pub(crate) bench: &'static str,
    pub(crate) figure: Cow<'static, str>,
    /// How many services the hall had.
    pub(crate) services: usize,
    pub(crate) unit: &'static str,
    pub(crate) value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) goal: Option<f64>,
}

impl Figure {
    /// Prints it.
    pub(crate) fn print(self) -> anyhow::Result<()> {
        print(&self)
    }
}

/// Prints anything as one line, at once: a bench takes its time, and somebody may watch.
pub(crate) fn print(line: &impl Serialize) -> anyhow::Result<()> {
    let mut out = stdout();
    serde_json::to_writer(&mut out, line)?;
    writeln!(out)?;
    Ok(())
}
