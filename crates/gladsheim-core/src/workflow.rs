//! Workflows over several services or servants; what concerns one service alone is its actor's.

pub(crate) mod battery;
mod bring_up;
mod handover;
mod reload;
pub(crate) mod resume;
mod stop;
mod wait;
