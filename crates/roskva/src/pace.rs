//! Port: how much less often services are checked at present.

/// Tells how far checks may be apart: while a machine lives on its battery, wake-ups are dear.
///
/// Only a check that passes, without a failure since, becomes rarer. One that has yet to pass, or whose failures are
/// being counted, keeps its interval: neither a start nor the verdict about a failure waits longer.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
pub trait Pace: Send + Sync + 'static {
    /// By how much an interval is multiplied now; 0 counts as 1. Called under the monitor's lock: it must answer
    /// at once.
    fn stretch(&self) -> u32;
}
