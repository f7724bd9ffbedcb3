//! Renames, defaults and removals of JSON fields.

/// Moves the fields of JSON objects from one schema version to another.
pub struct FieldMapper;
