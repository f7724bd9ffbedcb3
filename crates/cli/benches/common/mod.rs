//! What the measuring programs share.
#![allow(dead_code, reason = "each program uses its part")]

pub(crate) mod load;
pub(crate) mod report;
pub(crate) mod support;
