//! How messages become bytes and back, for every call of both ends.
//!
//! tonic's own codec begins every request and every answer, on both ends, with a buffer of 8 KiB, and lets that of a
//! large message grow by copying it again and again. Here buffers begin small, and grow once, because the size of a
//! message is known before it is encoded.

use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, EncodeBuf};
use tonic_prost::{ProstCodec, ProstDecoder};

/// A buffer holds this many bytes from the beginning: a small entry with its attributes.
const FIRST_BUFFER_BYTES: usize = 512;
/// Messages that are ready are sent together up to this many bytes.
const COALESCED_BYTES: usize = 32 << 10;

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
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Encoder<T> {
        Encoder(PhantomData)
    }

    fn decoder(&mut self) -> ProstDecoder<U> {
        ProstCodec::<T, U>::raw_decoder(buffer_settings())
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
        buffer.reserve(message.encoded_len());
        message.encode_raw(buffer);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffer_settings()
    }
}
