//! A cursor over tables and values that says what it expects and collects what it does not find.
//!
//! ```text
//! table.field("interval").duration().positive().or(health.check_interval)
//! ```
//!
//! Each step passes on a value or, once something was wrong and has been reported, nothing; so one
//! reading tells all errors. A [`Table`] remembers which keys it was asked for and, when dropped,
//! reports the others as unknown: no reader can forget to.

use std::{fmt::Display, ops::RangeInclusive, time::Duration};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    name,
    report::{Report, Span},
    value,
};

/// One table with a fixed set of keys.
pub(super) struct Table<'a> {
    report: &'a Report<'a>,
    /// How it is called in messages.
    name: String,
    /// Where what concerns the table as a whole is reported.
    span: Span,
    entries: &'a DeTable<'a>,
    asked: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// The table that is the whole document.
    pub(super) fn root(report: &'a Report<'a>, entries: &'a DeTable<'a>) -> Self {
        Self {
            report,
            name: "the hall file".to_owned(),
            span: 0..0,
            entries,
            asked: Vec::new(),
        }
    }

    /// The value of `key`, if there is one.
    pub(super) fn field(&mut self, key: &'static str) -> Field<'a> {
        self.asked.push(key);
        match self.entries.get(key) {
            Some(value) => Field::new(self.report, key, value),
            None => Field {
                report: self.report,
                key,
                span: self.span.clone(),
                value: None,
            },
        }
    }

    /// The value of `key`, without which the table is of no use.
    pub(super) fn required(&mut self, key: &'static str) -> Field<'a> {
        let field = self.field(key);
        if !field.is_set() {
            self.error(format!("{} has no `{key}`", self.name));
        }
        field
    }

    /// Those of `keys` that are there.
    pub(super) fn present(&self, keys: &[&'static str]) -> Vec<&'static str> {
        let is_there = |key: &&str| self.entries.contains_key(*key);
        keys.iter().copied().filter(is_there).collect()
    }

    /// Reports something about the table as a whole.
    pub(super) fn error(&self, message: impl Into<String>) {
        self.report.error(&self.span, message);
    }
}

impl Drop for Table<'_> {
    fn drop(&mut self) {
        for (key, _) in self.entries {
            let (name, span) = (key.get_ref().as_ref(), key.span());
            if !self.asked.contains(&name) {
                let hint = name::hint(name, self.asked.iter().copied());
                self.report.error(
                    &span,
                    format!(
                        "unknown key `{}` in {}{hint}",
                        name.escape_debug(),
                        self.name
                    ),
                );
            }
        }
    }
}

/// The value of one key on its way to a `T`: there, absent, or wrong and reported.
pub(super) struct Field<'a, T = &'a DeValue<'a>> {
    report: &'a Report<'a>,
    key: &'a str,
    span: Span,
    value: Option<T>,
}

impl<'a> Field<'a> {
    fn new(report: &'a Report<'a>, key: &'a str, value: &'a Spanned<DeValue<'a>>) -> Self {
        Self {
            report,
            key,
            span: value.span(),
            value: Some(value.get_ref()),
        }
    }

    pub(super) fn boolean(self) -> Field<'a, bool> {
        self.then(|value| match value {
            DeValue::Boolean(value) => Ok(*value),
            other => Err(expected("true or false", other)),
        })
    }

    /// A text that a system call can take.
    pub(super) fn text(self) -> Field<'a, &'a str> {
        self.then(|value| match value {
            DeValue::String(text) if text.contains('\0') => {
                Err("a NUL character is not allowed".to_owned())
            }
            DeValue::String(text) => Ok(text.as_ref()),
            other => Err(expected("a string", other)),
        })
    }

    /// A text that is not empty.
    pub(super) fn filled(self) -> Field<'a, &'a str> {
        self.text().then(|text| match text {
            "" => Err("must not be empty".to_owned()),
            text => Ok(text),
        })
    }

    pub(super) fn integer<N>(self, bounds: RangeInclusive<N>) -> Field<'a, N>
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
    pub(super) fn number(self, bounds: RangeInclusive<f64>) -> Field<'a, f64> {
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

    pub(super) fn duration(self) -> Field<'a, Duration> {
        self.then(|value| match value {
            DeValue::String(text) => value::duration(text),
            other => Err(expected(
                "a duration such as \"500ms\", \"5s\" or \"1m30s\"",
                other,
            )),
        })
    }

    pub(super) fn size(self) -> Field<'a, u64> {
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
    pub(super) fn one_of<T: Copy>(self, choices: &[(&'static str, T)]) -> Field<'a, T> {
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
    pub(super) fn items(self) -> Vec<Field<'a>> {
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
    pub(super) fn list<T>(self, read: impl Fn(Field<'a>) -> Field<'a, T>) -> Field<'a, Vec<T>> {
        self.array().then(|items| {
            Ok(items
                .into_iter()
                .filter_map(|item| read(item).value)
                .collect())
        })
    }

    /// A command: a program that is not empty, and its arguments.
    pub(super) fn command(self) -> Field<'a, Vec<String>> {
        self.list(|item| item.text().owned())
            .then(|words| match words.first() {
                Some(program) if !program.is_empty() => Ok(words),
                _ => Err("the program's name is missing".to_owned()),
            })
    }

    /// A table with a fixed set of keys, which is called `name` in messages.
    pub(super) fn table(self, name: impl Into<String>) -> Option<Table<'a>> {
        let (report, span) = (self.report, self.span.clone());
        self.entries_of().value.map(|entries| Table {
            report,
            name: name.into(),
            span,
            entries,
            asked: Vec::new(),
        })
    }

    /// The entries of a table with free keys, in the order of the file.
    pub(super) fn entries(self) -> Vec<Entry<'a>> {
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
    pub(super) fn texts(
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
    pub(super) fn is_set(&self) -> bool {
        self.value.is_some()
    }

    /// Whether it is a table.
    pub(super) fn is_table(&self) -> bool {
        matches!(self.value, Some(DeValue::Table(_)))
    }

    /// Whether it is a string.
    pub(super) fn is_text(&self) -> bool {
        matches!(self.value, Some(DeValue::String(_)))
    }
}

/// One entry of a table with free keys.
pub(super) struct Entry<'a> {
    pub(super) name: &'a str,
    /// Of the key.
    pub(super) span: Span,
    pub(super) field: Field<'a>,
}

impl Entry<'_> {
    /// Reports a name that `check` does not allow.
    pub(super) fn check_name(&self, check: impl FnOnce(&str) -> Result<(), String>) {
        if let Err(message) = check(self.name) {
            self.field.report.error(&self.span, message);
        }
    }
}

impl<'a, T> Field<'a, T> {
    /// Goes on with what `convert` makes of the value, or reports its error here.
    pub(super) fn then<U>(self, convert: impl FnOnce(T) -> Result<U, String>) -> Field<'a, U> {
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

    pub(super) fn map<U>(self, convert: impl FnOnce(T) -> U) -> Field<'a, U> {
        self.then(|value| Ok(convert(value)))
    }

    pub(super) fn or(self, default: T) -> T {
        self.value.unwrap_or(default)
    }

    pub(super) fn or_default(self) -> T
    where
        T: Default,
    {
        self.value.unwrap_or_default()
    }

    pub(super) fn optional(self) -> Option<T> {
        self.value
    }

    /// The value and where it stands.
    pub(super) fn located(self) -> Option<(T, Span)> {
        self.value.map(|value| (value, self.span))
    }

    /// Says that the value will hardly do what was meant.
    pub(super) fn warn(self, message: impl FnOnce(&T) -> Option<String>) -> Self {
        if let Some(message) = self.value.as_ref().and_then(message) {
            self.report
                .warning(&self.span, format!("{}: {message}", self.key));
        }
        self
    }
}

impl<'a> Field<'a, &'a str> {
    pub(super) fn owned(self) -> Field<'a, String> {
        self.map(str::to_owned)
    }
}

impl Field<'_, Duration> {
    pub(super) fn positive(self) -> Self {
        self.then(|duration| match duration {
            Duration::ZERO => Err("must be longer than nothing".to_owned()),
            duration => Ok(duration),
        })
    }
}

fn integer_value(integer: &toml::de::DeInteger<'_>) -> Option<i64> {
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
