//! MessagePack.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Codec, CodecError};

/// Deepest nesting that is decoded: that of the JSON codec. The default of the library lets a payload of a kilobyte
/// overflow the stack of a thread.
const MAX_DEPTH: usize = 128;

/// MessagePack by `rmp-serde`. Needs the feature `msgpack`.
///
/// Structs are written as maps with their field names, so fields can be added and reordered; structs written as arrays
/// are understood too. Bytes behind the value are an error, and so is nesting deeper than 128 levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessagePack;

impl<T: Serialize + DeserializeOwned> Codec<T, Bytes> for MessagePack {
    fn encode(&self, value: &T) -> Result<Bytes, CodecError> {
        Ok(rmp_serde::to_vec_named(value)?.into())
    }

    fn decode(&self, payload: &Bytes) -> Result<T, CodecError> {
        let mut rest: &[u8] = payload;
        let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
        deserializer.set_max_depth(MAX_DEPTH);
        let value = T::deserialize(&mut deserializer)?;
        if rest.is_empty() { Ok(value) } else { Err(TrailingBytes { extra_bytes: rest.len() }.into()) }
    }
}

/// Something follows the MessagePack value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{extra_bytes} bytes follow the MessagePack value; a payload holds exactly one")]
struct TrailingBytes {
    extra_bytes: usize,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
    struct Order {
        id: String,
        amount_cents: u128,
        paid: Option<bool>,
        lines: Vec<(i64, f64)>,
        notes: BTreeMap<String, String>,
    }

    /// Nested as deeply as its bytes say.
    #[derive(Deserialize, Serialize, Debug)]
    struct Nested(Vec<Nested>);

    fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
        MessagePack.decode(&Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn structs_are_maps_with_field_names() {
        #[derive(Serialize, Deserialize)]
        struct Point {
            x: u8,
            y: u8,
        }
        let bytes = MessagePack.encode(&Point { x: 1, y: 2 }).unwrap();
        assert_eq!(bytes, &b"\x82\xa1x\x01\xa1y\x02"[..]);
        let reordered: Point = decode(b"\x83\xa1y\x02\xa1z\xc0\xa1x\x01").unwrap();
        assert_eq!((reordered.x, reordered.y), (1, 2));
        let from_array: Point = decode(b"\x92\x01\x02").unwrap();
        assert_eq!((from_array.x, from_array.y), (1, 2));
    }

    #[test]
    fn what_is_not_the_value_is_an_error() {
        assert!(decode::<String>(b"").is_err());
        assert!(decode::<String>(b"\xa3ab").is_err(), "cut off");
        assert!(decode::<String>(b"\x01").is_err(), "of another type");
        assert!(decode::<String>(b"\xc1").is_err(), "never used by MessagePack");
        assert!(decode::<Vec<u8>>(b"\xdd\xff\xff\xff\xff").is_err(), "claims four billion elements");
        assert!(decode::<String>(b"\xdb\xff\xff\xff\xff").is_err(), "claims four gigabytes");
    }

    #[test]
    fn bytes_behind_the_value_are_an_error() {
        let error = decode::<String>(b"\xa2ab\xc0\xc0").unwrap_err();
        assert_eq!(error.to_string(), "2 bytes follow the MessagePack value; a payload holds exactly one");
    }

    #[test]
    fn deep_values_come_back() {
        let depth = 100;
        let nested = (0..depth).fold(Nested(Vec::new()), |inner, _| Nested(vec![inner]));
        let bytes = MessagePack.encode(&nested).unwrap();
        assert_eq!(bytes.len(), depth + 1);
        let mut level = &decode::<Nested>(&bytes).unwrap();
        for _ in 0..depth {
            level = &level.0[0];
        }
        assert!(level.0.is_empty());
    }

    #[test]
    fn endless_nesting_is_an_error_and_no_overflow_of_the_stack() {
        assert!(decode::<Nested>(&[0x91; 1 << 20]).is_err());
        assert!(decode::<serde_json::Value>(&[0x91; 1 << 20]).is_err());
    }

    proptest! {
        #[test]
        fn values_come_back(
            id in "\\PC{0,20}", amount_cents: u128, paid: Option<bool>,
            lines in prop::collection::vec((any::<i64>(), -1e300f64..1e300), 0..5),
            notes in prop::collection::btree_map("\\PC{0,5}", "\\PC{0,5}", 0..5),
        ) {
            let order = Order { id, amount_cents, paid, lines, notes };
            let bytes = MessagePack.encode(&order).unwrap();
            prop_assert_eq!(decode::<Order>(&bytes).unwrap(), order);
        }

        #[test]
        fn decoding_random_bytes_never_panics(bytes: Vec<u8>) {
            let _ = decode::<Order>(&bytes);
            let _ = decode::<serde_json::Value>(&bytes);
        }
    }
}
