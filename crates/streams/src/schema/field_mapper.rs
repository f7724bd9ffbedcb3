//! Changes of single fields of JSON objects.

use std::sync::Arc;

use bytes::Bytes;
use indexmap::IndexMap;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};

use super::Upcaster;
use crate::codec::CodecError;

/// Brings JSON objects from one schema version to another, field by field.
///
/// Whatever the order of the calls, the operations take place in this order (specification §3.4, with maps added):
///
/// 1. [`rename`](FieldMapper::rename)s, in the order given;
/// 2. [`default`](FieldMapper::default)s, in the order given;
/// 3. [`map`](FieldMapper::map)s, in the order given;
/// 4. [`remove`](FieldMapper::remove)s.
///
/// Values that no operation touches are kept byte for byte, so numbers of any size survive, and fields keep their
/// order. Only the top level of the object is looked at. If a name occurs twice, its last value counts, at the place
/// of the first.
///
/// A payload that is `null` stays as it is; anything else but an object is an error.
///
/// ```
/// use ledger_streams::{Append, FieldMapper, MemoryStore, Read, Stream};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct OrderV1 { customer_name: String, cents: u128 }
///
/// #[derive(Serialize, Deserialize, Debug, PartialEq)]
/// struct OrderV2 { name: String, email: String, amount: String }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryStore::new("orders")?;
/// let old = Stream::<OrderV1, _>::json(&store, "user-123");
/// old.append([Append::new(OrderV1 { customer_name: "Ada".into(), cents: 12_345_678_901_234_567_890 })]).await?;
///
/// let orders = Stream::<OrderV2, _>::json(&store, "user-123").schema_version(2).upcaster(
///     FieldMapper::new(1, 2)
///         .rename("customer_name", "name")
///         .default("email", "unknown@example.com")
///         .rename("cents", "amount")
///         .map("amount", |cents: u128| format!("{}.{:02}", cents / 100, cents % 100)),
/// );
/// let order = &orders.read(Read::new()).await?[0].payload;
/// assert_eq!(order.amount, "123456789012345678.90");
/// # Ok(()) }
/// ```
pub struct FieldMapper {
    source_version: u32,
    target_version: u32,
    renames: IndexMap<String, String>,
    defaults: IndexMap<String, Result<Box<RawValue>, Arc<serde_json::Error>>>,
    maps: Vec<FieldMap>,
    removals: Vec<String>,
}

struct FieldMap {
    field: String,
    function: Box<MapFunction>,
}

/// Takes the name of the field, for errors, and its value.
type MapFunction = dyn Fn(&str, &RawValue) -> Result<Box<RawValue>, FieldMapperError> + Send + Sync;

/// The fields of an object in their order, with their values as they are written.
type Fields = IndexMap<String, Box<RawValue>>;

impl FieldMapper {
    /// A mapper between these versions that changes nothing yet.
    pub fn new(source_version: u32, target_version: u32) -> Self {
        Self {
            source_version,
            target_version,
            renames: IndexMap::new(),
            defaults: IndexMap::new(),
            maps: Vec::new(),
            removals: Vec::new(),
        }
    }

    /// Gives a field a new name; a field that has the new name already is replaced. Nothing happens if there is no
    /// field of the old name.
    ///
    /// Renames see the result of those before them: `a` to `b`, then `b` to `c` makes `c` of both. A second rename of
    /// the same old name takes the place of the first.
    #[must_use]
    pub fn rename(mut self, old: impl Into<String>, new: impl Into<String>) -> Self {
        self.renames.insert(old.into(), new.into());
        self
    }

    /// Adds a field, at the end, if there is none of this name after the renames; a `null` counts as there. A second
    /// default of the same field takes the place of the first.
    ///
    /// A value without a JSON form makes every upcast fail with [`FieldMapperError::Default`].
    #[must_use]
    pub fn default(mut self, field: impl Into<String>, value: impl Serialize) -> Self {
        self.defaults.insert(field.into(), to_raw_value(&value).map_err(Arc::new));
        self
    }

    /// Replaces the value of a field by what a function makes of it. Nothing happens if there is no such field after
    /// renames and defaults. Several maps of one field follow each other.
    ///
    /// The type of the argument says how the value is read: `u128` for large integers, `Option` where `null` occurs,
    /// [`serde_json::Value`] for anything whose numbers fit 64 bits, `Box<RawValue>` for its bytes.
    #[must_use]
    pub fn map<A: DeserializeOwned, B: Serialize>(
        self,
        field: impl Into<String>,
        function: impl Fn(A) -> B + Send + Sync + 'static,
    ) -> Self {
        self.try_map(field, move |value| Ok::<B, CodecError>(function(value)))
    }

    /// As [`map`](FieldMapper::map), with a function that can fail.
    #[must_use]
    pub fn try_map<A: DeserializeOwned, B: Serialize, E: Into<CodecError>>(
        mut self,
        field: impl Into<String>,
        function: impl Fn(A) -> Result<B, E> + Send + Sync + 'static,
    ) -> Self {
        let function = move |field: &str, value: &RawValue| {
            let argument = serde_json::from_str(value.get())
                .map_err(|source| FieldMapperError::Argument { field: field.to_owned(), source })?;
            let result = function(argument).map_err(|error| FieldMapperError::Function {
                field: field.to_owned(),
                source: error.into(),
            })?;
            to_raw_value(&result)
                .map_err(|source| FieldMapperError::Result { field: field.to_owned(), source })
        };
        self.maps.push(FieldMap { field: field.into(), function: Box::new(function) });
        self
    }

    /// Removes a field if it is there.
    #[must_use]
    pub fn remove(mut self, field: impl Into<String>) -> Self {
        self.removals.push(field.into());
        self
    }

    fn apply(&self, fields: &mut Fields) -> Result<(), FieldMapperError> {
        for (old, new) in &self.renames {
            rename(fields, old, new);
        }
        for (field, value) in &self.defaults {
            let value = value.as_ref().map_err(|source| FieldMapperError::Default {
                field: field.clone(),
                source: source.clone(),
            })?;
            fields.entry(field.clone()).or_insert_with(|| value.clone());
        }
        for map in &self.maps {
            if let Some(value) = fields.get_mut(&map.field) {
                *value = (map.function)(&map.field, value)?;
            }
        }
        for field in &self.removals {
            fields.shift_remove(field);
        }
        Ok(())
    }
}

/// The value stays at its place, unless there is a field of the new name: then it moves there.
fn rename(fields: &mut Fields, old: &str, new: &str) {
    let Some((place, _, value)) = fields.shift_remove_full(old) else { return };
    match fields.get_mut(new) {
        Some(replaced) => *replaced = value,
        None => {
            fields.shift_insert(place, new.to_owned(), value);
        }
    }
}

impl Upcaster<Bytes> for FieldMapper {
    fn source_version(&self) -> u32 {
        self.source_version
    }

    fn target_version(&self) -> u32 {
        self.target_version
    }

    fn upcast(&self, payload: Bytes) -> Result<Bytes, CodecError> {
        let fields: Option<Fields> =
            serde_json::from_slice(&payload).map_err(|source| FieldMapperError::NotAnObject { source })?;
        let Some(mut fields) = fields else { return Ok(payload) };
        self.apply(&mut fields)?;
        Ok(serde_json::to_vec(&fields)?.into())
    }
}

/// Why a [`FieldMapper`] could not convert a payload.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FieldMapperError {
    /// The payload is neither a JSON object nor `null`.
    #[error("the payload is not a JSON object: {source}")]
    NotAnObject {
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A default has no JSON form; the entry is fine, the mapper is not.
    #[error("the default of field {field:?} has no JSON form: {source}")]
    Default {
        /// Which field.
        field: String,
        /// What the serialiser said.
        source: Arc<serde_json::Error>,
    },
    /// The value of a field is not of the type that its function takes.
    #[error("the value of field {field:?} does not fit its map: {source}")]
    Argument {
        /// Which field.
        field: String,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// The function of a field failed.
    #[error("the map of field {field:?} failed: {source}")]
    Function {
        /// Which field.
        field: String,
        /// What the function said.
        source: CodecError,
    },
    /// The function of a field made something without a JSON form.
    #[error("the result of the map of field {field:?} has no JSON form: {source}")]
    Result {
        /// Which field.
        field: String,
        /// What the serialiser said.
        source: serde_json::Error,
    },
}

#[cfg(test)]
#[path = "field_mapper_tests.rs"]
mod tests;
