//! Protobuf.

use bytes::Bytes;
use prost::Message;

use super::{Codec, CodecError};

/// Any message of `prost`. Needs the feature `protobuf`.
///
/// Fields that the message does not know are ignored, fields that the payload lacks have their default values; so a
/// message may grow without a new schema version. A message whose fields all have their default values is an empty
/// payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protobuf;

impl<T: Message + Default> Codec<T, Bytes> for Protobuf {
    fn encode(&self, value: &T) -> Result<Bytes, CodecError> {
        Ok(value.encode_to_vec().into())
    }

    fn decode(&self, payload: &Bytes) -> Result<T, CodecError> {
        Ok(T::decode(payload.clone())?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, PartialEq, prost::Message)]
    struct Order {
        #[prost(string, tag = "1")]
        id: String,
        #[prost(sint64, tag = "2")]
        amount_cents: i64,
        #[prost(bytes = "bytes", tag = "3")]
        receipt: Bytes,
        #[prost(message, repeated, tag = "4")]
        parts: Vec<Order>,
    }

    /// The first version of [`Order`].
    #[derive(Clone, PartialEq, prost::Message)]
    struct OldOrder {
        #[prost(string, tag = "1")]
        id: String,
    }

    fn decode<T: Message + Default>(bytes: &[u8]) -> Result<T, CodecError> {
        Protobuf.decode(&Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn messages_have_the_encoding_of_protobuf() {
        let order = Order { id: "o-1".into(), amount_cents: -1, ..Order::default() };
        assert_eq!(Protobuf.encode(&order).unwrap(), &b"\x0a\x03o-1\x10\x01"[..]);
        assert_eq!(Protobuf.encode(&Order::default()).unwrap(), &b""[..]);
        assert_eq!(decode::<Order>(b"").unwrap(), Order::default());
    }

    #[test]
    fn older_and_newer_messages_are_understood() {
        let order = Order { id: "o-1".into(), amount_cents: 7, ..Order::default() };
        let old: OldOrder = decode(&Protobuf.encode(&order).unwrap()).unwrap();
        assert_eq!(old.id, "o-1");
        let new: Order = decode(&Protobuf.encode(&old).unwrap()).unwrap();
        assert_eq!(new, Order { amount_cents: 0, ..order });
    }

    #[test]
    fn what_is_not_the_message_is_an_error() {
        assert!(decode::<Order>(b"\x0a\x05ab").is_err(), "cut off");
        assert!(decode::<Order>(b"\x08\x01").is_err(), "a number where a text should be");
        assert!(decode::<Order>(b"\x0a\x01\xff").is_err(), "a text that is not UTF-8");
        assert!(decode::<Order>(b"\x00").is_err(), "field 0");
        assert!(decode::<Order>(b"\x1a\xff\xff\xff\xff\x0f").is_err(), "claims four gigabytes");
    }

    #[test]
    fn endless_nesting_is_an_error_and_no_overflow_of_the_stack() {
        let nested = (0..10_000).fold(Vec::new(), |inner, _| {
            let mut outer = vec![0x22];
            prost::encode_length_delimiter(inner.len(), &mut outer).unwrap();
            outer.extend(inner);
            outer
        });
        assert!(decode::<Order>(&nested).is_err());
    }

    proptest! {
        #[test]
        fn messages_come_back(id in "\\PC{0,20}", amount_cents: i64, receipt: Vec<u8>, parts in 0usize..3) {
            let part = Order { id, amount_cents, receipt: receipt.into(), parts: Vec::new() };
            let order = Order { parts: vec![part.clone(); parts], ..part };
            prop_assert_eq!(decode::<Order>(&Protobuf.encode(&order).unwrap()).unwrap(), order);
        }

        #[test]
        fn decoding_random_bytes_never_panics(bytes: Vec<u8>) {
            let _ = decode::<Order>(&bytes);
        }
    }
}
