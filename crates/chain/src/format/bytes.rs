use super::{Digest, FormatError};

/// Reads fields one after the other; nothing is copied.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    at: u64,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, at: 0 }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, what: &'static str, count: u64) -> Result<&'a [u8], FormatError> {
        let split = usize::try_from(count).ok().and_then(|count| self.rest.split_at_checked(count));
        let Some((taken, rest)) = split else {
            let available = self.rest.len() as u64;
            return Err(FormatError::Short { what, offset: self.at, needed: count, available });
        };
        self.rest = rest;
        self.at = self.at.saturating_add(count);
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<&'a [u8; N], FormatError> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            let available = self.rest.len() as u64;
            return Err(FormatError::Short { what, offset: self.at, needed: N as u64, available });
        };
        self.rest = rest;
        self.at = self.at.saturating_add(N as u64);
        Ok(taken)
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, FormatError> {
        self.array::<1>(what).map(|[byte]| *byte)
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, FormatError> {
        self.array(what).map(|bytes| u32::from_le_bytes(*bytes))
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, FormatError> {
        self.array(what).map(|bytes| u64::from_le_bytes(*bytes))
    }

    pub(crate) fn u64_be(&mut self, what: &'static str) -> Result<u64, FormatError> {
        self.array(what).map(|bytes| u64::from_be_bytes(*bytes))
    }

    pub(crate) fn digest(&mut self, what: &'static str) -> Result<&'a Digest, FormatError> {
        self.array(what)
    }

    /// A `u64` length and that many bytes.
    pub(crate) fn bytes(&mut self, what: &'static str) -> Result<&'a [u8], FormatError> {
        let length = self.u64(what)?;
        self.take(what, length)
    }

    /// The name of a map.
    pub(crate) fn map_name(&mut self) -> Result<&'a str, FormatError> {
        let offset = self.at;
        std::str::from_utf8(self.bytes("map name")?).map_err(|_| FormatError::MapName { offset })
    }

    /// The next of the items that fill what is left; `None` at the end and after the first error.
    pub(crate) fn next_item<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, FormatError>,
    ) -> Option<Result<T, FormatError>> {
        if self.is_empty() {
            return None;
        }
        let item = read(self);
        if item.is_err() {
            *self = Self::new(&[]);
        }
        Some(item)
    }

    pub(crate) fn end(&self, what: &'static str) -> Result<(), FormatError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(FormatError::Trailing { what, offset: self.at, available: self.rest.len() as u64 })
    }
}

/// Writes a `u64` length and the bytes.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}
