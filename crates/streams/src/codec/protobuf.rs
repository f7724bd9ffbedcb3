//! Protobuf.

/// Protobuf.
pub struct Protobuf;
