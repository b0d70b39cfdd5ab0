//! The wire contract of Gladsheim: `gladsheim.v1` over gRPC, on a unix socket.
//!
//! [`v1`] holds the messages and the client and server stubs, generated from
//! `proto/gladsheim/v1/gladsheim.proto` by `cargo xtask codegen` and committed, so that nobody needs a
//! protobuf compiler. [`Client`] speaks to a daemon; [`FILE_DESCRIPTOR_SET`] is for server reflection.
//!
//! Errors are gRPC statuses. Beside the code, the metadata key [`REASON_KEY`] carries one of the words
//! in [`reason`], which say more than the code: NOT_RUNNING and NEEDED_BY_OTHERS are both
//! FAILED_PRECONDITION.

#[cfg(feature = "client")]
mod client;
pub mod reason;

#[cfg(feature = "client")]
pub use crate::client::{Client, ConnectError};
#[cfg(feature = "tls")]
pub use crate::client::{TlsError, TlsOptions};

pub use crate::reason::REASON_KEY;

/// Messages and stubs of the protobuf package `gladsheim.v1`.
#[expect(missing_docs, clippy::allow_attributes, reason = "generated code")]
pub mod v1 {
    include!("generated/gladsheim.v1.rs");
}

/// The compiled `gladsheim.v1` and what it imports, as an encoded `FileDescriptorSet`.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/gladsheim.v1.bin");

// The page of the crate is compiled, so that its example stays true.
#[cfg(all(doctest, feature = "client"))]
#[doc = include_str!("../README.md")]
struct Readme;
