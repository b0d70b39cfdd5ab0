//! Restart groups: services that are restarted together, by the strategies of Erlang's supervisors.

use std::fmt;

pub(crate) mod keeper;

/// What a service of a restart group has to tell the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// It has failed, and will be held when its next attempt is due.
    Restarts(String),
    /// It has failed, and will not be restarted, although its policy would have it so.
    GaveUp(String),
}

/// The restart group that a service belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartGroup {
    /// Name of the group.
    pub name: String,
    /// The group's strategy, the same for all of its services.
    pub strategy: GroupStrategy,
}

impl fmt::Display for RestartGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.strategy.as_str())
    }
}

/// Who is restarted when the restart policy restarts one service of a group.
///
/// The others are stopped in reverse order at once, whatever the delay before the restart, and started again in the order of
/// the configuration, each when the one before is ready. Services that do not run are left alone; one whose
/// policy is never to restart is stopped, and not started again. Where the one that failed is given
/// up, or another one cannot be started again, those that would have been restarted are stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum GroupStrategy {
    /// Only that one.
    #[default]
    OneForOne,
    /// That one and those listed after it.
    RestForOne,
    /// All of the group.
    OneForAll,
}

impl GroupStrategy {
    /// All strategies, in the order in which they are declared.
    pub const ALL: [Self; 3] = [Self::OneForOne, Self::RestForOne, Self::OneForAll];

    /// The name used in the hall file, for example `one_for_all`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OneForOne => "one_for_one",
            Self::RestForOne => "rest_for_one",
            Self::OneForAll => "one_for_all",
        }
    }

    /// The others of `members` that the failure of one concerns, in their order.
    pub(crate) fn concerned<'a>(self, members: &'a [String], failed: &str) -> Vec<&'a String> {
        let from = match self {
            Self::OneForOne => members.len(),
            Self::RestForOne => members.iter().position(|name| name == failed).unwrap_or(0),
            Self::OneForAll => 0,
        };
        members[from..]
            .iter()
            .filter(|name| *name != failed)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::GroupStrategy;

    #[test]
    fn each_strategy_concerns_its_own() {
        let members = ["a", "b", "c"].map(str::to_owned);
        for (strategy, concerned) in [
            (GroupStrategy::OneForOne, &[][..]),
            (GroupStrategy::RestForOne, &["c"]),
            (GroupStrategy::OneForAll, &["a", "c"]),
        ] {
            assert_eq!(strategy.concerned(&members, "b"), concerned, "{strategy:?}");
        }
    }
}
