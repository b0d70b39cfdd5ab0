//! A cursor over tables and values that says what it expects and collects what it does not find.
//!
//! ```text
//! table.field("interval").duration().positive().or(health.check_interval)
//! ```
//!
//! Each step passes on a value or, once something was wrong and has been reported, nothing; so one
//! reading tells all errors. A [`Table`] remembers which keys it was asked for and, when dropped,
//! reports the others as unknown: no reader can forget to.

pub(super) use self::{
    field::Field,
    table::{Entry, Table},
};

mod field;
mod table;
