//! Tables: with a fixed set of keys, or with free ones.

use toml::de::DeTable;

use super::{
    super::{
        name,
        report::{Report, Span},
    },
    Field,
};

/// One table with a fixed set of keys.
pub(in crate::hall) struct Table<'a> {
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
    pub(in crate::hall) fn root(report: &'a Report<'a>, entries: &'a DeTable<'a>) -> Self {
        Self::new(report, "the hall file".to_owned(), 0..0, entries)
    }

    pub(super) fn new(
        report: &'a Report<'a>,
        name: String,
        span: Span,
        entries: &'a DeTable<'a>,
    ) -> Self {
        Self {
            report,
            name,
            span,
            entries,
            asked: Vec::new(),
        }
    }

    /// The value of `key`, if there is one.
    pub(in crate::hall) fn field(&mut self, key: &'static str) -> Field<'a> {
        self.asked.push(key);
        match self.entries.get(key) {
            Some(value) => Field::new(self.report, key, value),
            None => Field::absent(self.report, key),
        }
    }

    /// The value of `key`, without which the table is of no use.
    pub(in crate::hall) fn required(&mut self, key: &'static str) -> Field<'a> {
        let field = self.field(key);
        if !field.is_set() {
            self.error(format!("{} has no `{key}`", self.name));
        }
        field
    }

    /// Those of `keys` that are there.
    pub(in crate::hall) fn present(&self, keys: &[&'static str]) -> Vec<&'static str> {
        let is_there = |key: &&str| self.entries.contains_key(*key);
        keys.iter().copied().filter(is_there).collect()
    }

    /// Reports something about the table as a whole.
    pub(in crate::hall) fn error(&self, message: impl AsRef<str>) {
        self.report.error(&self.span, message);
    }
}

impl Drop for Table<'_> {
    fn drop(&mut self) {
        #[cfg(test)]
        super::super::test::schema::was_read(&self.name, &self.asked);
        for (key, _) in self.entries {
            let (name, span) = (key.get_ref().as_ref(), key.span());
            if !self.asked.contains(&name) {
                let hint = name::hint(name, self.asked.iter().copied());
                let message = format!("unknown key `{name}` in {}{hint}", self.name);
                self.report.error(&span, message);
            }
        }
    }
}

/// One entry of a table with free keys.
pub(in crate::hall) struct Entry<'a> {
    pub(in crate::hall) name: &'a str,
    /// Of the key.
    pub(in crate::hall) span: Span,
    pub(in crate::hall) field: Field<'a>,
}

impl Entry<'_> {
    /// Reports a name that `check` does not allow.
    pub(in crate::hall) fn check_name(&self, check: impl FnOnce(&str) -> Result<(), String>) {
        if let Err(message) = check(self.name) {
            self.field.report.error(&self.span, message);
        }
    }
}
