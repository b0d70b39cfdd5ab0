//! Does nothing until a signal ends it, and handles none: what a supervisor costs is all that shows.

fn main() -> ! {
    gladsheim_tests::helper::for_ever()
}
