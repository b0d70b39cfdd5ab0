//! gladsheim-core
