//! Every codec through a stream.

use bytes::Bytes;
use ledger_streams::codec::{Codec, CodecError, Json, MessagePack, Protobuf, Zstd};
use ledger_streams::{Append, Position, Read, Store, Stream};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Order, append_raw, memory, order, order_stream, orders};

#[derive(Clone, PartialEq, prost::Message)]
struct Message {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(uint64, tag = "2")]
    cents: u64,
}

/// JSON, back to front.
#[derive(Clone)]
struct Reversed;

impl<T: Serialize + DeserializeOwned> Codec<T, Bytes> for Reversed {
    fn encode(&self, value: &T) -> Result<Bytes, CodecError> {
        Ok(serde_json::to_vec(value)?.into_iter().rev().collect())
    }
    fn decode(&self, payload: &Bytes) -> Result<T, CodecError> {
        let bytes: Vec<u8> = payload.iter().rev().copied().collect();
        Ok(serde_json::from_slice(&bytes)?)
    }
}

/// Appends through one handle, reads through another and through a subscription; answers the stored payload.
async fn round_trip<T, C>(codec: C, value: T) -> Bytes
where
    T: Clone + PartialEq + std::fmt::Debug,
    C: Codec<T, Bytes> + Clone,
{
    let store = memory();
    let stream = Stream::new(&store, "s", codec.clone());
    stream.append([Append::new(value.clone())]).await.unwrap();
    let reader = Stream::new(&store, "s", codec).read_only();
    assert_eq!(reader.read(Read::new()).await.unwrap()[0].payload, value);
    let mut live = reader.subscribe(Position::Start).await.unwrap();
    assert_eq!(live.next_entry().await.unwrap().unwrap().payload, value);
    store.read("s", &Read::new()).await.unwrap()[0].payload.clone()
}

#[tokio::test]
async fn every_codec_works_through_a_stream() {
    let message = Message { id: "o-1".into(), cents: 150 };
    assert_eq!(round_trip(Json, order(1)).await, r#"{"id":"o-1","amount":1.5}"#);
    assert_eq!(round_trip(MessagePack, order(1)).await[0], 0x82);
    assert_eq!(round_trip(Protobuf, message.clone()).await, &b"\x0a\x03o-1\x10\x96\x01"[..]);
    assert_eq!(round_trip(Zstd::new(Json), order(1)).await[0], 1);
    assert_eq!(round_trip(Zstd::with_level(MessagePack, 19).unwrap(), order(1)).await[0], 1);
    assert_eq!(round_trip(Zstd::new(Protobuf), message).await[0], 1);
    assert_eq!(round_trip(Protobuf, Message::default()).await, "");
    assert_eq!(round_trip(Zstd::new(Protobuf), Message::default()).await[0], 1);
}

#[tokio::test]
async fn a_codec_of_your_own_works_alone_and_compressed() {
    assert_eq!(round_trip(Reversed, order(1)).await, r#"}5.1:"tnuoma","1-o":"di"{"#);
    assert_eq!(round_trip(Zstd::new(Reversed), order(1)).await[0], 1);
}

#[tokio::test]
async fn entries_from_before_compression_stay_readable() {
    let store = memory();
    order_stream(&store).append(orders([1])).await.unwrap();
    let compressed = Stream::<Order, _, _>::new(&store, "user-123", Zstd::new(Json));
    compressed.append(orders([2])).await.unwrap();
    append_raw(&store, "user-123", 1, &["\0{\"id\":\"o-3\",\"amount\":3.5}", ""]).await;
    let mut records = compressed.read_each(Read::new()).await.unwrap();
    let error = records.pop().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "ledger: decode failed: entry 4: empty payload");
    let values: Vec<Order> = records.into_iter().map(|record| record.unwrap().payload).collect();
    assert_eq!(values, [order(1), order(2), order(3)]);
}
