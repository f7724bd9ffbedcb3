//! Values whose JSON form is not that of their Rust type.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use ledger_api::convert::timestamp;
use ledger_api::proto;
use prost_types::Timestamp;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Unexpected, Visitor};
use serde::ser::Serializer;

/// Lenient like the decoders that clients know: padding is optional.
const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, CONFIG);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, CONFIG);

pub(super) fn write_number<S: Serializer>(number: &impl fmt::Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(number)
}

pub(super) fn write_bytes<S: Serializer>(bytes: &Bytes, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&BASE64.encode(bytes))
}

/// A text that the message holds as bytes.
pub(super) fn write_text<S: Serializer>(text: &Bytes, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&String::from_utf8_lossy(text))
}

pub(super) fn write_time<S: Serializer>(time: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => to.collect_str(time),
        None => to.serialize_none(),
    }
}

pub(super) fn write_durability<S: Serializer>(durability: &i32, to: S) -> Result<S::Ok, S::Error> {
    match proto::Durability::try_from(*durability) {
        Ok(known) => to.serialize_str(known.as_str_name()),
        Err(_) => to.serialize_i32(*durability),
    }
}

/// A value, or `null` for its default.
pub(super) fn read<'de, T, D>(from: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

pub(super) fn read_int64<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    read(from).map(|Int64(number)| number)
}

pub(super) fn read_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
    read(from).map(|Base64(bytes)| bytes)
}

pub(super) fn read_map<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    read(from).map(|Map(map)| map)
}

pub(super) fn read_time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(Option::<jiff::Timestamp>::deserialize(from)?.map(timestamp))
}

#[derive(Default)]
struct Int64(i64);

impl<'de> Deserialize<'de> for Int64 {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Int64Visitor)
    }
}

struct Int64Visitor;

impl Visitor<'_> for Int64Visitor {
    type Value = Int64;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a whole number of 64 bits, or a string of one")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Int64, E> {
        Ok(Int64(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Int64, E> {
        i64::try_from(number).map(Int64).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Int64, E> {
        whole(number).map(Int64).ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Int64, E> {
        let number = text.parse().ok().or_else(|| text.parse().ok().and_then(whole));
        number.map(Int64).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// The whole number that a float is exactly.
fn whole(number: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    #[allow(clippy::cast_possible_truncation, reason = "a whole number in the range, checked here")]
    (number.fract() == 0.0 && (-LIMIT..LIMIT).contains(&number)).then_some(number as i64)
}

#[derive(Default)]
struct Base64(Bytes);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(Base64Visitor)
    }
}

struct Base64Visitor;

impl Visitor<'_> for Base64Visitor {
    type Value = Base64;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("bytes in base64")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Base64, E> {
        let engine = if text.contains(['-', '_']) { BASE64_URL } else { BASE64 };
        // What is no base64 may be long, and may be a secret in the wrong place: it is not repeated.
        let decoded =
            engine.decode(text).map_err(|error| E::custom(format_args!("bytes are no base64: {error}")))?;
        Ok(Base64(decoded.into()))
    }
}

#[derive(Default)]
struct Map(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Map {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(MapVisitor)
    }
}

struct MapVisitor;

impl<'de> Visitor<'de> for MapVisitor {
    type Value = Map;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Map, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((key, value)) = entries.next_entry::<String, String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format_args!("key {key:?} is there twice")));
            }
            map.insert(key, value);
        }
        Ok(Map(map))
    }
}
