//! The order of the rows. Pure.

use std::cmp::Ordering;

use super::model::Service;

/// By what rows are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Order {
    /// As the hall file has them.
    #[default]
    Hall,
    Name,
    /// What needs attention first.
    State,
    /// The most first.
    Cpu,
    Memory,
    Restarts,
}

impl Order {
    /// The one after this, around.
    pub(super) fn next(self) -> Self {
        match self {
            Self::Hall => Self::Name,
            Self::Name => Self::State,
            Self::State => Self::Memory,
            Self::Memory => Self::Cpu,
            Self::Cpu => Self::Restarts,
            Self::Restarts => Self::Hall,
        }
    }

    fn compare(self, one: &Service, other: &Service) -> Ordering {
        let (one, other) = (&one.status, &other.status);
        match self {
            Self::Hall => Ordering::Equal,
            Self::Name => one.service_name.cmp(&other.service_name),
            Self::State => rank(&one.state).cmp(&rank(&other.state)),
            Self::Memory => other.memory_bytes.cmp(&one.memory_bytes),
            Self::Cpu => {
                let cpu = |percent: Option<f32>| percent.unwrap_or(-1.0);
                cpu(other.cpu_percent).total_cmp(&cpu(one.cpu_percent))
            }
            Self::Restarts => other.restart_count.cmp(&one.restart_count),
        }
    }
}

/// Troubles first, then what is under way.
fn rank(state: &str) -> usize {
    let ranks = [
        "failed",
        "crashed",
        "restarting",
        "stopping",
        "starting",
        "running",
        "stopped",
    ];
    let place = ranks.iter().position(|known| *known == state);
    place.unwrap_or(ranks.len())
}

/// An order and its direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sort {
    pub(super) order: Order,
    pub(super) reversed: bool,
}

impl Sort {
    /// Sorts by `order`; the other way round if that is how it is sorted already.
    pub(super) fn choose(&mut self, order: Order) {
        self.reversed = self.order == order && !self.reversed;
        self.order = order;
    }

    /// Sorts rows that come in the order of the hall file; equal ones keep it.
    pub(super) fn apply(self, services: &mut [&Service]) {
        services.sort_by(|one, other| {
            let order = self.order.compare(one, other);
            if self.reversed {
                order.reverse()
            } else {
                order
            }
        });
        if self.order == Order::Hall && self.reversed {
            services.reverse();
        }
    }
}
