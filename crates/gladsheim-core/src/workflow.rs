//! Workflows over several services or servants; what concerns one service alone is its actor's.

mod bring_up;
mod stop;
mod wait;
