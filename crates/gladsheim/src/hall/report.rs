//! Collects what is wrong with one text, by byte offset, until all of it is told at once.

use std::{cell::RefCell, ops::Range, path::Path};

use super::diagnostic::{Diagnostic, Position, Severity};

/// Byte range in the text.
pub(super) type Span = Range<usize>;

/// The remarks on one text so far. Readers share it, so it is filled through `&self`.
pub(super) struct Report<'a> {
    file: &'a Path,
    text: &'a str,
    line_starts: Vec<usize>,
    remarks: RefCell<Vec<(usize, Severity, String)>>,
}

impl<'a> Report<'a> {
    pub(super) fn new(file: &'a Path, text: &'a str) -> Self {
        let newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            file,
            text,
            line_starts: std::iter::once(0).chain(newlines).collect(),
            remarks: RefCell::default(),
        }
    }

    pub(super) fn error(&self, span: &Span, message: impl AsRef<str>) {
        self.add(span, Severity::Error, message.as_ref());
    }

    pub(super) fn warning(&self, span: &Span, message: impl AsRef<str>) {
        self.add(span, Severity::Warning, message.as_ref());
    }

    fn add(&self, span: &Span, severity: Severity, message: &str) {
        // Names and values may hold anything; a message is one line, and moves no cursor.
        let message = message.replace(char::is_control, "\u{fffd}");
        self.remarks
            .borrow_mut()
            .push((span.start, severity, message));
    }

    /// Line and column of a byte offset.
    pub(super) fn position(&self, offset: usize) -> Position {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts.get(line - 1).copied().unwrap_or_default();
        let before = self.text.get(start..offset).unwrap_or_default();
        Position {
            line,
            column: before.chars().count() + 1,
        }
    }

    /// Everything, in the order of the text.
    pub(super) fn into_diagnostics(self) -> Vec<Diagnostic> {
        let mut remarks = self.remarks.take();
        remarks.sort_by_key(|(offset, ..)| *offset);
        remarks
            .into_iter()
            .map(|(offset, severity, message)| Diagnostic {
                file: self.file.to_path_buf(),
                position: Some(self.position(offset)),
                message,
                severity,
            })
            .collect()
    }
}
