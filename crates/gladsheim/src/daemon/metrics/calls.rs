//! Counts the calls on the control socket.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hyper::Response;
use tonic::Code;

/// Where calls of methods that do not exist, or that were never answered well, are counted.
const OTHER: &str = "other";

/// The counts; clones share them.
#[derive(Debug, Clone, Default)]
pub(in crate::daemon) struct CallCounts {
    /// Held for short statements only.
    counts: Arc<Mutex<Counts>>,
}

/// How many calls there were.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    /// By method, with its service before a slash.
    pub(super) methods: BTreeMap<String, u64>,
    /// Those that were answered by an error at once, by its code.
    pub(super) errors: BTreeMap<i32, u64>,
}

impl CallCounts {
    pub(super) fn counts(&self) -> Counts {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call that was answered; a stream as soon as it begins.
    pub(in crate::daemon) fn count<B>(&self, path: &str, response: &Response<B>) {
        // An error without messages before it stands in the headers.
        let error = response.headers().get("grpc-status");
        let error = error.map(|code| Code::from_bytes(code.as_bytes()));
        self.add(path, error.filter(|code| *code != Code::Ok));
    }

    /// Whoever calls chooses the path, so only one that was answered well gets a line of its own.
    fn add(&self, path: &str, error: Option<Code>) {
        let mut counts = self.lock();
        let method = path.trim_start_matches('/');
        let method = match (counts.methods.contains_key(method), error) {
            (true, _) | (false, None) => method,
            (false, Some(_)) => OTHER,
        };
        match counts.methods.get_mut(method) {
            Some(count) => *count += 1,
            None => drop(counts.methods.insert(method.to_owned(), 1)),
        }
        if let Some(code) = error {
            *counts.errors.entry(code as i32).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_cannot_fill_the_counts() {
        let calls = CallCounts::default();
        for number in 0..1000 {
            calls.add(&format!("/made/Up{number}"), Some(Code::Unimplemented));
        }
        calls.add("/hall/Start", None);
        calls.add("/hall/Start", Some(Code::NotFound));
        let Counts { methods, errors } = calls.counts();
        let methods: Vec<_> = methods.into_iter().collect();
        assert_eq!(
            methods,
            [("hall/Start".to_owned(), 2), ("other".to_owned(), 1000)]
        );
        assert_eq!(
            errors.into_iter().collect::<Vec<_>>(),
            [
                (Code::NotFound as i32, 1),
                (Code::Unimplemented as i32, 1000)
            ]
        );
    }
}
