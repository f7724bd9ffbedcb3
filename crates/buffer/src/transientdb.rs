//! The store as a `DataStore` of the published crate `transientdb`.

use std::any::Any;
use std::io;

use transientdb::{DataResult, DataStore, Equivalent};

use crate::error::RemoveError;
use crate::reader::LedgerReader;
use crate::remove::Removable;
use crate::store::LedgerStore;

impl DataStore for LedgerStore {
    type Output = Vec<LedgerReader>;

    fn has_data(&self) -> bool {
        Self::has_data(self)
    }

    /// As [`LedgerStore::reset`], whose outcome this cannot return: ask `has_data()`.
    fn reset(&mut self) {
        let _ = Self::reset(self);
    }

    /// Appends the value as compact JSON.
    fn append(&mut self, data: serde_json::Value) -> io::Result<()> {
        Ok(Self::append(self, &serde_json::to_vec(&data)?)?)
    }

    fn fetch(
        &mut self,
        count: Option<usize>,
        max_bytes: Option<usize>,
    ) -> io::Result<Option<DataResult<Self::Output>>> {
        let fetched = Self::fetch(self, count, max_bytes)?;
        Ok(fetched.map(|fetched| {
            let untyped = fetched.removable.into_iter().map(|item| Box::new(item) as Box<dyn Equivalent>);
            DataResult { data: Some(fetched.data), removable: Some(untyped.collect()) }
        }))
    }

    /// As [`LedgerStore::remove`]; an item that is no [`Removable`] is an error, and all others are removed.
    fn remove(&mut self, data: &[Box<dyn Equivalent>]) -> io::Result<()> {
        let typed = data.iter().filter_map(|item| item.as_any().downcast_ref::<Removable>());
        let removed = Self::remove(self, typed);
        let foreign = data.iter().find(|item| !item.as_any().is::<Removable>());
        let checked = foreign.map_or(Ok(()), |item| Err(RemoveError::Foreign { item: format!("{item:?}") }));
        Ok(removed.and(checked)?)
    }
}

impl Equivalent for Removable {
    fn equals(&self, other: &dyn Equivalent) -> bool {
        other.as_any().downcast_ref::<Self>().is_some_and(|other| self == other)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
