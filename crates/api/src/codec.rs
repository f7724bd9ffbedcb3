//! How messages become bytes and back, for every call of both ends.
//!
//! tonic's own codec begins every request and every answer, on both ends, with a buffer of 8 KiB, and lets that of a
//! large message grow by copying it again and again. Here buffers begin small, and grow once, because the size of a
//! message is known before it is encoded. It also hands prost buffers that check and count at every field; a page has
//! tens of thousands of fields, and plain memory takes and gives them in two thirds of the time.

use std::marker::PhantomData;

use bytes::{Buf, BufMut};
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, DecodeBuf, EncodeBuf};

/// A buffer holds this many bytes from the beginning: a small entry with its attributes.
const FIRST_BUFFER_BYTES: usize = 512;
/// Messages that are ready are sent together up to this many bytes.
const COALESCED_BYTES: usize = 32 << 10;
/// Largest message that is encoded beside its buffer; larger ones consist of payloads, which are better copied once.
const MAX_COPIED_BYTES: usize = 1 << 20;

/// Encodes `T`, decodes `U`.
#[derive(Debug)]
pub(crate) struct Codec<T, U>(PhantomData<fn(T) -> U>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: Message + 'static,
    U: Message + Default + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Encoder<T>;
    type Decoder = Decoder<U>;

    fn encoder(&mut self) -> Encoder<T> {
        Encoder(PhantomData)
    }

    fn decoder(&mut self) -> Decoder<U> {
        Decoder(PhantomData)
    }
}

fn buffer_settings() -> BufferSettings {
    BufferSettings::new(FIRST_BUFFER_BYTES, COALESCED_BYTES)
}

/// Encodes `T` into exactly the room that it takes.
#[derive(Debug)]
pub(crate) struct Encoder<T>(PhantomData<fn(T)>);

impl<T: Message> tonic::codec::Encoder for Encoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let length = message.encoded_len();
        buffer.reserve(length);
        if length > MAX_COPIED_BYTES {
            message.encode_raw(buffer);
        } else {
            let mut bytes = Vec::with_capacity(length);
            message.encode_raw(&mut bytes);
            buffer.put_slice(&bytes);
        }
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffer_settings()
    }
}

/// Decodes `U`, whose payloads stay in the buffer that they came in.
#[derive(Debug)]
pub(crate) struct Decoder<U>(PhantomData<fn() -> U>);

impl<U: Message + Default> tonic::codec::Decoder for Decoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let message = U::decode(buffer.copy_to_bytes(buffer.remaining()));
        // What is no message is an internal error to gRPC, whoever sent it.
        message.map(Some).map_err(|error| Status::internal(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffer_settings()
    }
}
