//! How many connections there may be, and whose. Pure.

use std::{collections::HashMap, net::IpAddr};

/// Connections at once, where the limit of open files allows them.
const MOST: usize = 1024;
/// Of one user other than the daemon's own and root, or of one address.
const MOST_OF_ONE: usize = 64;

/// Upper bounds of open connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    all: usize,
    /// All but the masters together: the rest is always free for these.
    guests: usize,
    one_guest: usize,
}

impl Limits {
    /// With at most `descriptors` connections.
    pub(super) fn of(descriptors: usize) -> Self {
        let all = descriptors.clamp(16, MOST);
        Self {
            all,
            guests: all / 2,
            one_guest: MOST_OF_ONE.min(all / 4),
        }
    }
}

/// Who holds a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Guest {
    /// The daemon's own user, or root.
    Master,
    /// Another user of this machine, by uid.
    User(u32),
    /// Somebody on the network.
    Address(IpAddr),
}

/// Counts the connections that are open.
#[derive(Debug)]
pub(super) struct Census {
    limits: Limits,
    masters: usize,
    guests: HashMap<Guest, usize>,
}

impl Census {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            masters: 0,
            guests: HashMap::new(),
        }
    }

    /// Takes a place, if there is one.
    pub(super) fn admit(&mut self, guest: Guest) -> bool {
        let guests: usize = self.guests.values().sum();
        let Limits {
            all,
            guests: most_guests,
            one_guest,
        } = self.limits;
        if guests + self.masters >= all {
            return false;
        }
        match guest {
            Guest::Master => self.masters += 1,
            Guest::User(_) | Guest::Address(_) => {
                let own = self.guests.get(&guest).copied().unwrap_or_default();
                if guests >= most_guests || own >= one_guest {
                    return false;
                }
                self.guests.insert(guest, own + 1);
            }
        }
        true
    }

    /// Gives back a place that was taken.
    pub(super) fn leave(&mut self, guest: Guest) {
        match guest {
            Guest::Master => self.masters -= 1,
            Guest::User(_) | Guest::Address(_) => {
                if let Some(own) = self.guests.get_mut(&guest) {
                    *own -= 1;
                    if *own == 0 {
                        self.guests.remove(&guest);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Admits until it fails, and says how often it did not.
    fn fill(census: &mut Census, guest: Guest) -> usize {
        (0..10_000).take_while(|_| census.admit(guest)).count()
    }

    #[test]
    fn nobody_takes_all_places_from_the_others_and_half_is_for_the_masters() {
        let mut census = Census::new(Limits::of(usize::MAX));
        assert_eq!(fill(&mut census, Guest::User(1001)), 64);
        assert_eq!(fill(&mut census, Guest::User(1002)), 64);
        for port in 0..20 {
            fill(&mut census, Guest::Address([10, 0, 0, port].into()));
        }
        assert_eq!(fill(&mut census, Guest::User(1003)), 0);
        assert_eq!(fill(&mut census, Guest::Master), 512);
    }

    #[test]
    fn a_place_that_was_given_back_can_be_taken_again() {
        let mut census = Census::new(Limits::of(0));
        for guest in [Guest::User(1), Guest::Master] {
            let taken = fill(&mut census, guest);
            assert!(taken > 0 && !census.admit(guest));
            census.leave(guest);
            assert!(census.admit(guest));
            (0..taken).for_each(|_| census.leave(guest));
        }
        assert!(census.guests.is_empty() && census.masters == 0);
    }

    #[test]
    fn few_descriptors_are_few_connections() {
        let mut census = Census::new(Limits::of(100));
        assert_eq!(fill(&mut census, Guest::User(1)), 25);
        assert_eq!(fill(&mut census, Guest::Master), 75);
    }
}
