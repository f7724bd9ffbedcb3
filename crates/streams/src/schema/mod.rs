//! Schema evolution: old entries are brought into today's shape when they are read; what is stored stays as it is.

#[cfg(feature = "json")]
mod field_mapper;
mod upcast;

#[cfg(feature = "json")]
pub use field_mapper::{FieldMapper, FieldMapperError};
pub(crate) use upcast::Upcasters;
pub use upcast::{UpcastError, Upcaster, UpcasterFn};
