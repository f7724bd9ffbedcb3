//! MessagePack.

/// MessagePack.
pub struct MessagePack;
