//! Values: converted step by step, each step reporting what is wrong where it stands.

use std::{fmt::Display, ops::RangeInclusive, time::Duration};

use toml::{
    Spanned,
    de::{DeInteger, DeTable, DeValue},
};

use super::{
    super::{
        diagnostic::Position,
        name,
        report::{Report, Span},
        value,
    },
    Entry, Table,
};

/// The value of one key on its way to a `T`: there, absent, or wrong and reported.
pub(in crate::hall) struct Field<'a, T = &'a DeValue<'a>> {
    pub(super) report: &'a Report<'a>,
    key: &'a str,
    span: Span,
    value: Option<T>,
}

impl<'a> Field<'a> {
    pub(super) fn new(
        report: &'a Report<'a>,
        key: &'a str,
        value: &'a Spanned<DeValue<'a>>,
    ) -> Self {
        Self {
            report,
            key,
            span: value.span(),
            value: Some(value.get_ref()),
        }
    }

    pub(super) fn absent(report: &'a Report<'a>, key: &'a str) -> Self {
        Self {
            report,
            key,
            span: 0..0,
            value: None,
        }
    }

    pub(in crate::hall) fn boolean(self) -> Field<'a, bool> {
        self.then(|value| match value {
            DeValue::Boolean(value) => Ok(*value),
            other => Err(expected("true or false", other)),
        })
    }

    /// A text that a system call can take.
    pub(in crate::hall) fn text(self) -> Field<'a, &'a str> {
        self.then(|value| match value {
            DeValue::String(text) if text.contains('\0') => {
                Err("a NUL character is not allowed".to_owned())
            }
            DeValue::String(text) => Ok(text.as_ref()),
            other => Err(expected("a string", other)),
        })
    }

    /// A text that is not empty.
    pub(in crate::hall) fn filled(self) -> Field<'a, &'a str> {
        self.text().then(|text| match text {
            "" => Err("must not be empty".to_owned()),
            text => Ok(text),
        })
    }

    pub(in crate::hall) fn integer<N>(self, bounds: RangeInclusive<N>) -> Field<'a, N>
    where
        N: TryFrom<i64> + PartialOrd + Display,
    {
        self.then(|value| match value {
            DeValue::Integer(integer) => integer_value(integer)
                .and_then(|value| N::try_from(value).ok())
                .filter(|value| bounds.contains(value))
                .ok_or_else(|| {
                    let (low, high) = bounds.into_inner();
                    format!("{integer} is not between {low} and {high}")
                }),
            other => Err(expected("an integer", other)),
        })
    }

    /// A number with or without a fraction.
    pub(in crate::hall) fn number(self, bounds: RangeInclusive<f64>) -> Field<'a, f64> {
        self.then(|value| {
            let number = match value {
                DeValue::Integer(integer) => integer_value(integer).map(|value| value as f64),
                DeValue::Float(float) => float.as_str().parse().ok(),
                other => return Err(expected("a number", other)),
            };
            // NaN and, as no bound is infinite, the infinities lie outside of every range.
            number
                .filter(|number| bounds.contains(number))
                .ok_or_else(|| {
                    let (low, high) = bounds.into_inner();
                    if high == f64::MAX {
                        format!("must be {low} or more")
                    } else {
                        format!("must be between {low} and {high}")
                    }
                })
        })
    }

    pub(in crate::hall) fn duration(self) -> Field<'a, Duration> {
        self.then(|value| match value {
            DeValue::String(text) => value::duration(text),
            other => Err(expected(
                "a duration such as \"500ms\", \"5s\" or \"1m30s\"",
                other,
            )),
        })
    }

    pub(in crate::hall) fn size(self) -> Field<'a, u64> {
        self.then(|value| match value {
            DeValue::String(text) => value::size(text),
            DeValue::Integer(integer) => integer_value(integer)
                .and_then(|value| u64::try_from(value).ok())
                .ok_or_else(|| "must not be negative".to_owned()),
            other => Err(expected(
                "a size such as 1048576, \"64KiB\" or \"256MiB\"",
                other,
            )),
        })
    }

    /// One of a few words.
    pub(in crate::hall) fn one_of<T: Copy>(self, choices: &[(&'static str, T)]) -> Field<'a, T> {
        self.text().then(|text| {
            let words = || choices.iter().map(|(word, _)| *word);
            let found = choices.iter().find(|(word, _)| *word == text);
            found.map(|(_, choice)| *choice).ok_or_else(|| {
                let all: Vec<_> = words().collect();
                let hint = name::hint(text, words());
                format!("{text:?} is none of {}{hint}", all.join(", "))
            })
        })
    }

    /// The items of an array; none if it is absent or wrong.
    pub(in crate::hall) fn items(self) -> Vec<Field<'a>> {
        self.array().value.unwrap_or_default()
    }

    fn array(self) -> Field<'a, Vec<Field<'a>>> {
        let (report, key) = (self.report, self.key);
        self.then(|value| match value {
            DeValue::Array(items) => Ok(items
                .iter()
                .map(|item| Field::new(report, key, item))
                .collect()),
            other => Err(expected("an array", other)),
        })
    }

    /// An array of which each item is read by `read`; wrong items are reported and left out.
    pub(in crate::hall) fn list<T>(
        self,
        read: impl Fn(Field<'a>) -> Field<'a, T>,
    ) -> Field<'a, Vec<T>> {
        self.array().then(|items| {
            Ok(items
                .into_iter()
                .filter_map(|item| read(item).value)
                .collect())
        })
    }

    /// A command: a program that is not empty, and its arguments.
    pub(in crate::hall) fn command(self) -> Field<'a, Vec<String>> {
        self.list(|item| item.text().owned())
            .then(|words| match words.first() {
                Some(program) if !program.is_empty() => Ok(words),
                _ => Err("the program's name is missing".to_owned()),
            })
    }

    /// A table with a fixed set of keys, which is called `name` in messages.
    pub(in crate::hall) fn table(self, name: impl Into<String>) -> Option<Table<'a>> {
        let (report, span) = (self.report, self.span.clone());
        let entries = self.entries_of().value?;
        Some(Table::new(report, name.into(), span, entries))
    }

    /// The entries of a table with free keys, in the order of the file.
    pub(in crate::hall) fn entries(self) -> Vec<Entry<'a>> {
        let report = self.report;
        let mut entries: Vec<_> = self
            .entries_of()
            .value
            .into_iter()
            .flatten()
            .map(|(key, value)| Entry {
                name: key.get_ref(),
                span: key.span(),
                field: Field::new(report, key.get_ref(), value),
            })
            .collect();
        entries.sort_by_key(|entry| entry.span.start);
        entries
    }

    /// The entries of a table of texts whose names `check` allows.
    pub(in crate::hall) fn texts(
        self,
        check: fn(&str) -> Result<(), String>,
    ) -> impl Iterator<Item = (String, String)> {
        self.entries().into_iter().filter_map(move |entry| {
            entry.check_name(check);
            Some((
                entry.name.to_owned(),
                entry.field.text().optional()?.to_owned(),
            ))
        })
    }

    fn entries_of(self) -> Field<'a, &'a DeTable<'a>> {
        self.then(|value| match value {
            DeValue::Table(entries) => Ok(entries),
            other => Err(expected("a table", other)),
        })
    }

    /// Whether the key is there at all.
    pub(in crate::hall) fn is_set(&self) -> bool {
        self.value.is_some()
    }

    /// Whether it is a table.
    pub(in crate::hall) fn is_table(&self) -> bool {
        matches!(self.value, Some(DeValue::Table(_)))
    }

    /// Whether it is a string.
    pub(in crate::hall) fn is_text(&self) -> bool {
        matches!(self.value, Some(DeValue::String(_)))
    }
}

impl<'a, T> Field<'a, T> {
    /// Goes on with what `convert` makes of the value, or reports its error here.
    pub(in crate::hall) fn then<U>(
        self,
        convert: impl FnOnce(T) -> Result<U, String>,
    ) -> Field<'a, U> {
        let value = self.value.map(convert).and_then(|result| {
            result
                .inspect_err(|message| {
                    self.report
                        .error(&self.span, format!("{}: {message}", self.key));
                })
                .ok()
        });
        Field {
            report: self.report,
            key: self.key,
            span: self.span,
            value,
        }
    }

    pub(in crate::hall) fn map<U>(self, convert: impl FnOnce(T) -> U) -> Field<'a, U> {
        self.then(|value| Ok(convert(value)))
    }

    pub(in crate::hall) fn or(self, default: T) -> T {
        self.value.unwrap_or(default)
    }

    pub(in crate::hall) fn or_default(self) -> T
    where
        T: Default,
    {
        self.value.unwrap_or_default()
    }

    pub(in crate::hall) fn optional(self) -> Option<T> {
        self.value
    }

    /// The value and where it stands.
    pub(in crate::hall) fn located(self) -> Option<(T, Span)> {
        self.value.map(|value| (value, self.span))
    }

    /// The value with its line and column, for what only the machine can find wrong with it.
    pub(in crate::hall) fn placed(self) -> Field<'a, (T, Position)> {
        let position = self.report.position(self.span.start);
        self.map(|value| (value, position))
    }

    /// Says that the value will hardly do what was meant.
    pub(in crate::hall) fn warn(self, message: impl FnOnce(&T) -> Option<String>) -> Self {
        if let Some(message) = self.value.as_ref().and_then(message) {
            self.report
                .warning(&self.span, format!("{}: {message}", self.key));
        }
        self
    }
}

impl<'a> Field<'a, &'a str> {
    pub(in crate::hall) fn owned(self) -> Field<'a, String> {
        self.map(str::to_owned)
    }
}

impl Field<'_, Duration> {
    pub(in crate::hall) fn positive(self) -> Self {
        self.then(|duration| match duration {
            Duration::ZERO => Err("must be longer than nothing".to_owned()),
            duration => Ok(duration),
        })
    }
}

fn integer_value(integer: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn expected(what: &str, found: &DeValue<'_>) -> String {
    let found = match found {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    };
    format!("expected {what}, found {found}")
}
