//! gladsheim-proto
