//! A hall file in the making: services with keys, and remarks on what could not be said by keys.

use toml_writer::{ToTomlKey as _, ToTomlValue as _};

use crate::hall;

/// Sections of a service, in the order in which they are written; the first are the service's own keys.
const SECTIONS: [&str; 8] = [
    "",
    "health",
    "readiness",
    "startup",
    "restart",
    "limits",
    "logs",
    "metadata",
];

/// The keys that stand first.
const FIRST: [&str; 2] = ["path", "args"];

/// The key of what must be there first.
const NEEDS: &str = "depends_on";

/// What a key is set to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    List(Vec<String>),
    Integers(Vec<i64>),
    Table(Vec<(String, Value)>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<String>> for Value {
    fn from(items: Vec<String>) -> Self {
        Self::List(items)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl Value {
    /// As TOML on one line.
    fn toml(&self) -> String {
        match self {
            Self::Text(text) => text.as_str().to_toml_value(),
            Self::Integer(number) => number.to_toml_value(),
            Self::Float(number) => number.to_toml_value(),
            Self::Boolean(value) => value.to_toml_value(),
            Self::List(items) => {
                let items: Vec<_> = items
                    .iter()
                    .map(|item| item.as_str().to_toml_value())
                    .collect();
                format!("[{}]", items.join(", "))
            }
            Self::Integers(numbers) => {
                let numbers: Vec<_> = numbers.iter().map(ToString::to_string).collect();
                format!("[{}]", numbers.join(", "))
            }
            Self::Table(pairs) => {
                let pairs: Vec<_> = pairs
                    .iter()
                    .map(|(key, value)| {
                        format!("{} = {}", key.as_str().to_toml_key(), value.toml())
                    })
                    .collect();
                format!("{{ {} }}", pairs.join(", "))
            }
        }
    }
}

/// One service.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Draft {
    pub(crate) name: String,
    /// A line about it.
    pub(crate) about: Option<String>,
    keys: Vec<(&'static str, String, Value)>,
    needs: Vec<Need>,
    remarks: Vec<String>,
}

/// What must be there first.
#[derive(Debug, Clone, PartialEq)]
struct Need {
    service: String,
    condition: &'static str,
    required: bool,
}

impl Draft {
    /// A service that was known under this name, which need not be one that a hall file allows.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: allowed_name(name),
            about: None,
            keys: Vec::new(),
            needs: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// Sets `key` or `section.key`; what it was set to before is forgotten.
    pub(crate) fn set(&mut self, path: &str, value: impl Into<Value>) {
        let (section, key) = path.split_once('.').unwrap_or(("", path));
        self.put(section, key, value.into());
    }

    /// Sets a key of the service's metadata, whose names are free.
    pub(crate) fn set_metadata(&mut self, key: &str, value: &str) {
        self.put("metadata", key, value.into());
    }

    fn put(&mut self, section: &str, key: &str, value: Value) {
        let Some(section) = SECTIONS.into_iter().find(|known| *known == section) else {
            debug_assert!(false, "no section {section}");
            return;
        };
        self.keys
            .retain(|(known, name, _)| (*known, name.as_str()) != (section, key));
        self.keys.push((section, key.to_owned(), value));
    }

    /// What the key is set to.
    pub(crate) fn get(&self, path: &str) -> Option<&Value> {
        let path = path.split_once('.').unwrap_or(("", path));
        let found = self
            .keys
            .iter()
            .find(|(section, key, _)| (*section, key.as_str()) == path);
        found.map(|(_, _, value)| value)
    }

    /// Adds a variable to the environment; one of the same name is replaced.
    pub(crate) fn set_variable(&mut self, name: &str, value: &str) {
        let mut variables = match self.get("env") {
            Some(Value::Table(pairs)) => pairs.clone(),
            _ => Vec::new(),
        };
        variables.retain(|(known, _)| known != name);
        variables.push((name.to_owned(), value.into()));
        self.set("env", Value::Table(variables));
    }

    /// Waits for another service; a second word about the same one makes it no softer.
    pub(crate) fn need(&mut self, service: &str, condition: &'static str, required: bool) {
        let service = allowed_name(service);
        match self.needs.iter_mut().find(|need| need.service == service) {
            Some(need) => need.required |= required,
            None => self.needs.push(Need {
                service,
                condition,
                required,
            }),
        }
    }

    /// Says what could not be carried over, and why.
    pub(crate) fn remark(&mut self, text: impl Into<String>) {
        self.remarks.push(text.into());
    }

    fn render<'a>(&'a self, into: &mut Text<'a>) {
        for line in self.about.iter().flat_map(|about| about.lines()) {
            into.comment(line);
        }
        for (index, section) in SECTIONS.into_iter().enumerate() {
            let mut keys: Vec<_> = self
                .keys
                .iter()
                .filter(|(known, ..)| *known == section)
                .collect();
            // What is run is what a reader looks for first.
            keys.sort_by_key(|(_, key, _)| {
                FIRST
                    .iter()
                    .position(|first| first == key)
                    .unwrap_or(FIRST.len())
            });
            if index > 0 && keys.is_empty() {
                continue;
            }
            let name = self.name.as_str().to_toml_key();
            let below = if section.is_empty() {
                String::new()
            } else {
                format!(".{section}")
            };
            into.line(&format!("[services.{name}{below}]"));
            for (section, key, value) in keys {
                into.key(self, section, key, value);
            }
            if index == 0 && !self.needs.is_empty() {
                into.key(self, "", NEEDS, &needs(&self.needs));
            }
        }
        for remark in &self.remarks {
            into.comment(&format!("not carried over: {remark}"));
        }
    }

    /// Takes a key back, because of what is said of it.
    fn reject(&mut self, section: &str, key: &str, message: &str) {
        self.keys
            .retain(|(known, name, _)| (*known, name.as_str()) != (section, key));
        if (section, key) == ("", NEEDS) {
            self.needs.clear();
        }
        self.remark(message);
    }
}

/// `{ freki = "healthy", geri = { condition = "started", required = false } }`.
fn needs(needs: &[Need]) -> Value {
    let pairs = needs.iter().map(|need| {
        let condition = Value::from(need.condition);
        let value = if need.required {
            condition
        } else {
            Value::Table(vec![
                ("condition".to_owned(), condition),
                ("required".to_owned(), false.into()),
            ])
        };
        (need.service.clone(), value)
    });
    Value::Table(pairs.collect())
}

/// A whole hall file.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    pub(crate) services: Vec<Draft>,
    remarks: Vec<String>,
}

impl Sheet {
    /// Adds a service; a name that is taken gets a number.
    pub(crate) fn add(&mut self, mut draft: Draft) {
        let wanted = draft.name.clone();
        let mut number = 1;
        while self.services.iter().any(|known| known.name == draft.name) {
            number += 1;
            draft.name = allowed_name(&format!("{wanted}-{number}"));
        }
        if draft.name != wanted {
            draft.remark(format!(
                "the name {wanted}, which another service has already"
            ));
        }
        self.services.push(draft);
    }

    /// Says what could not be carried over and concerns no single service.
    pub(crate) fn remark(&mut self, text: impl Into<String>) {
        self.remarks.push(text.into());
    }

    /// How many remarks there are.
    pub(crate) fn remarks(&self) -> usize {
        let of_services = self.services.iter().map(|draft| draft.remarks.len());
        self.remarks.len() + of_services.sum::<usize>()
    }

    /// Drops what services need of others that are not in the hall, with a remark.
    pub(crate) fn keep_known_needs(&mut self) {
        let known: Vec<_> = self
            .services
            .iter()
            .map(|draft| draft.name.clone())
            .collect();
        for draft in &mut self.services {
            let own = draft.name.clone();
            let (kept, dropped): (Vec<_>, Vec<_>) = std::mem::take(&mut draft.needs)
                .into_iter()
                .partition(|need| known.contains(&need.service) && need.service != own);
            draft.needs = kept;
            for need in dropped {
                draft.remark(format!(
                    "it waits for {}, which is not in this hall",
                    need.service
                ));
            }
        }
    }

    /// The text of the file, under a comment that says where it came from. `judge` gives what is wrong with a
    /// text, by lines counted from 1: keys that a hall file does not accept become remarks.
    pub(crate) fn render(
        &mut self,
        head: &str,
        judge: impl Fn(&str) -> Vec<(usize, String)>,
    ) -> String {
        // Each turn takes a key away, so that there is a last one.
        loop {
            let text = self.text(head);
            let rejected: Vec<_> = judge(&text.text)
                .into_iter()
                .filter_map(|(line, message)| {
                    let (_, service, section, key) =
                        text.places.iter().find(|(place, ..)| *place == line)?;
                    Some(((*service).to_owned(), *section, (*key).to_owned(), message))
                })
                .collect();
            if rejected.is_empty() {
                return text.text;
            }
            for (service, section, key, message) in rejected {
                if let Some(draft) = self.services.iter_mut().find(|draft| draft.name == service) {
                    draft.reject(section, &key, &message);
                }
            }
        }
    }

    fn text(&self, head: &str) -> Text<'_> {
        let mut text = Text::default();
        for line in head.lines() {
            text.comment(line);
        }
        for remark in &self.remarks {
            text.comment(&format!("not carried over: {remark}"));
        }
        for draft in &self.services {
            text.line("");
            draft.render(&mut text);
        }
        text
    }
}

/// A text that grows, and on which line each key stands.
#[derive(Debug, Default)]
struct Text<'a> {
    text: String,
    lines: usize,
    places: Vec<(usize, &'a str, &'static str, String)>,
}

impl<'a> Text<'a> {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
        self.lines += 1;
    }

    /// A comment; what would end it early or is no text of TOML is replaced.
    fn comment(&mut self, text: &str) {
        let text = text.replace(|c: char| c.is_control(), " ");
        self.line(format!("# {text}").trim_end());
    }

    fn key(&mut self, draft: &'a Draft, section: &'static str, key: &str, value: &Value) {
        self.line(&format!("{} = {}", key.to_toml_key(), value.toml()));
        self.places
            .push((self.lines, &draft.name, section, key.to_owned()));
    }
}

/// The name with what a hall file does not allow in it replaced.
fn allowed_name(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let name: String = name
        .chars()
        .map(|c| if fits(c) { c } else { '-' })
        .collect();
    let name = name
        .trim_start_matches(|c: char| !c.is_ascii_alphanumeric())
        .trim_end_matches('-');
    let end = name.len().min(hall::LONGEST_NAME);
    match &name[..end] {
        "" => "service".to_owned(),
        name => name.to_owned(),
    }
}
