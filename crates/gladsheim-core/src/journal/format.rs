//! The journal's text: a line that names the version, then one record a line, each after its checksum.
//!
//! A record that is whole counts; at the first one that is not, reading ends. So whatever happened to
//! the file, what is read is what it once said.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::record::ServiceRecord;

/// First line of a journal that this program understands.
const HEADER: &[u8] = b"gladsheim-journal 1\n";
const NAME: &[u8] = b"gladsheim-journal ";

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Record {
    Service(Box<ServiceRecord>),
    /// The service is no longer known.
    Gone(String),
    /// The hall was shut down in good order; it is not the last line if the hall was opened again.
    Closed,
}

/// All that a journal says.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Memory {
    pub(crate) services: BTreeMap<String, ServiceRecord>,
    pub(crate) closed: bool,
}

/// What is wrong with a journal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damage {
    #[error("it is of a newer version: {0}")]
    Newer(String),
    #[error("it is no journal")]
    Foreign,
    #[error("its last record was not written to its end and is left out")]
    Torn,
    #[error("record {0} is damaged; it and all after it are left out")]
    Damaged(usize),
}

impl Damage {
    /// Whether nothing of the file could be used.
    pub(crate) fn is_total(&self) -> bool {
        match self {
            Self::Newer(_) | Self::Foreign => true,
            Self::Torn | Self::Damaged(_) => false,
        }
    }
}

impl Memory {
    pub(crate) fn apply(&mut self, record: Record) {
        self.closed = false;
        match record {
            Record::Service(service) => {
                self.services.insert(service.service.clone(), *service);
            }
            Record::Gone(service) => {
                self.services.remove(&service);
            }
            Record::Closed => self.closed = true,
        }
    }

    /// The shortest text that says all this.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut text = HEADER.to_vec();
        for service in self.services.values() {
            text.extend(encode(&Record::Service(Box::new(service.clone()))));
        }
        if self.closed {
            text.extend(encode(&Record::Closed));
        }
        text
    }

    /// What a text says up to its first damage.
    pub(crate) fn decode(text: &[u8]) -> (Self, Option<Damage>) {
        let mut memory = Self::default();
        let Some(records) = text.strip_prefix(HEADER) else {
            return (memory, foreign(text));
        };
        let mut rest = records;
        let mut number = 0;
        while !rest.is_empty() {
            number += 1;
            let Some(end) = memchr::memchr(b'\n', rest) else {
                return (memory, Some(Damage::Torn));
            };
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            let Some(record) = decode(line) else {
                let damage = if after.is_empty() {
                    Damage::Torn
                } else {
                    Damage::Damaged(number)
                };
                return (memory, Some(damage));
            };
            memory.apply(record);
            rest = after;
        }
        (memory, None)
    }
}

/// A text that does not begin as it should; one that ends within the first line says nothing yet.
fn foreign(text: &[u8]) -> Option<Damage> {
    if text.is_empty() {
        return None;
    }
    if HEADER.starts_with(text) {
        return Some(Damage::Torn);
    }
    let version = text.strip_prefix(NAME).and_then(|rest| {
        let line = rest.split(|byte| *byte == b'\n').next()?;
        let version = std::str::from_utf8(line).ok()?;
        version.parse::<u32>().is_ok().then(|| version.to_owned())
    });
    Some(version.map_or(Damage::Foreign, Damage::Newer))
}

/// One line, with its end; nothing for what cannot be said, such as a time before 1970.
pub(crate) fn encode(record: &Record) -> Vec<u8> {
    let Ok(json) = serde_json::to_vec(record) else {
        return Vec::new();
    };
    let mut line = format!("{:08x} ", crc32fast::hash(&json)).into_bytes();
    line.extend(json);
    line.push(b'\n');
    line
}

fn decode(line: &[u8]) -> Option<Record> {
    let (sum, json) = (line.get(..8)?, line.get(9..)?);
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    let whole = line[8] == b' ' && crc32fast::hash(json) == sum;
    whole.then(|| serde_json::from_slice(json).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records(choices: &[(u8, u8)]) -> Vec<Record> {
        let record = |(service, value): &(u8, u8)| match value {
            0 => Record::Closed,
            1 => Record::Gone(format!("s{}", service % 4)),
            _ => Record::Service(Box::new(ServiceRecord {
                service: format!("s{}", service % 4),
                generation: u64::from(*value),
                restart_count: u32::from(*service),
                ..ServiceRecord::default()
            })),
        };
        choices.iter().map(record).collect()
    }

    fn written(records: &[Record]) -> Vec<u8> {
        let lines = records.iter().flat_map(encode);
        HEADER.iter().copied().chain(lines).collect()
    }

    /// What the journal said after each record.
    fn histories(records: &[Record]) -> Vec<Memory> {
        let mut memory = Memory::default();
        let mut all = vec![memory.clone()];
        for record in records {
            memory.apply(record.clone());
            all.push(memory.clone());
        }
        all
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(choices in prop::collection::vec((any::<u8>(), any::<u8>()), 0..20)) {
            let records = records(&choices);
            let (memory, damage) = Memory::decode(&written(&records));
            prop_assert_eq!(damage, None);
            prop_assert_eq!(Some(memory.clone()), histories(&records).pop());
            prop_assert_eq!(Memory::decode(&memory.encode()), (memory, None));
        }

        #[test]
        fn a_journal_that_ends_at_any_byte_says_what_it_once_said(
            choices in prop::collection::vec((any::<u8>(), any::<u8>()), 0..12),
            cut in any::<prop::sample::Index>(),
        ) {
            let records = records(&choices);
            let text = written(&records);
            let (memory, damage) = Memory::decode(&text[..cut.index(text.len())]);
            prop_assert!(histories(&records).contains(&memory));
            prop_assert!(damage.is_none_or(|damage| damage == Damage::Torn));
        }

        #[test]
        fn a_journal_with_any_bytes_changed_says_what_it_once_said(
            choices in prop::collection::vec((any::<u8>(), any::<u8>()), 1..12),
            at in any::<prop::sample::Index>(),
            bytes in prop::collection::vec(any::<u8>(), 1..40),
        ) {
            let records = records(&choices);
            let mut text = written(&records);
            let at = at.index(text.len());
            for (old, new) in text[at..].iter_mut().zip(&bytes) {
                *old = *new;
            }
            let (memory, _) = Memory::decode(&text);
            prop_assert!(histories(&records).contains(&memory));
        }

        #[test]
        fn garbage_says_nothing(garbage in prop::collection::vec(any::<u8>(), 1..200)) {
            prop_assert_eq!(Memory::decode(&garbage).0, Memory::default());
        }
    }

    #[test]
    fn a_newer_version_and_another_file_are_told_apart() {
        let (memory, damage) = Memory::decode(b"gladsheim-journal 2\nwhatever");
        assert_eq!(memory, Memory::default());
        assert_eq!(damage, Some(Damage::Newer("2".to_owned())));
        let (_, damage) = Memory::decode(b"[services]\n");
        assert_eq!(damage, Some(Damage::Foreign));
    }
}
