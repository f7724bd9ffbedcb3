//! Keys of request and response metadata, and what the caller says in them (specification §5.3).

use tonic::metadata::MetadataMap;

use crate::status::RequestError;

/// Which store a call is about; every call but Health needs it.
pub const STORE: &str = "x-ledger-store";
/// The secret of a caller, where the daemon wants one.
pub const API_KEY: &str = "x-api-key";
/// `1`: the caller has forgotten no field. Without it an empty stream name or search text is refused and version 0
/// means 1, because on the wire a forgotten field looks just like an empty one.
pub const EXACT: &str = "x-ledger-exact";
/// Carries an encoded [`ErrorDetail`](crate::proto::ErrorDetail) behind a failed call.
pub const ERROR_DETAIL: &str = "ledger-error-bin";

/// The store that a call names.
///
/// # Errors
/// [`RequestError::NoStore`] if it names none, or with characters that no store name has.
pub fn store_of(metadata: &MetadataMap) -> Result<&str, RequestError> {
    metadata.get(STORE).and_then(|value| value.to_str().ok()).ok_or(RequestError::NoStore)
}

/// Whether the caller says that it has forgotten no field.
pub fn is_exact(metadata: &MetadataMap) -> bool {
    metadata.get(EXACT).is_some_and(|value| value == "1")
}

/// Refuses an empty text, unless the caller means it.
///
/// # Errors
/// [`RequestError::Empty`] with the name of the field.
pub fn check_given(metadata: &MetadataMap, field: &'static str, text: &str) -> Result<(), RequestError> {
    if text.is_empty() && !is_exact(metadata) { Err(RequestError::Empty { field }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_text_must_be_meant() {
        let mut metadata = MetadataMap::new();
        assert_eq!(check_given(&metadata, "stream", "s"), Ok(()));
        let refused = check_given(&metadata, "stream", "").unwrap_err();
        assert_eq!(refused.to_string(), "stream must not be empty");
        metadata.insert(EXACT, "1".parse().unwrap());
        assert_eq!(check_given(&metadata, "stream", ""), Ok(()));
    }

    #[test]
    fn the_first_store_counts() {
        let mut metadata = MetadataMap::new();
        assert_eq!(store_of(&metadata), Err(RequestError::NoStore));
        metadata.append(STORE, "orders".parse().unwrap());
        metadata.append(STORE, "events".parse().unwrap());
        assert_eq!(store_of(&metadata), Ok("orders"));
    }
}
