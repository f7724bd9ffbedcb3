//! COSE_Sign1 messages (RFC 9052) with a detached payload: the signatures of a service over Merkle roots, and receipts.
//!
//! A message is CBOR tag 18 around `[protected: bstr, unprotected: map, payload: nil, signature: bstr]`. Signed is
//! `["Signature1", protected, h'', root]`. The protected map, in the order it is written:
//!
//! | label | value |
//! |---|---|
//! | 1 | algorithm: -35 (ES384) with P-384, -7 (ES256) with P-256 |
//! | 4 | key id: hex SHA-256 of the service key, as ASCII bytes |
//! | 395 | kind of verifiable data structure: 2 |
//! | 15 | claims: 6 time of signing (seconds), 1 issuer, 2 subject |
//! | `"ccf.v1"` | `"txid"`: position of the signature |
//!
//! A receipt replaces the empty unprotected map by `{396: {-1: [proof, …]}}`, each proof a byte string with
//! `{1: [write-set digest, commit evidence, claims digest], 2: [[left, sibling], …]}`.

use ciborium::Value;
use thiserror::Error;

use super::{Curve, PrivateKey, PublicKey, key::KeyError};
use crate::format::{Digest, TxId};

/// A COSE message that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CoseError {
    /// Not a COSE_Sign1 message of the form above.
    #[error("not a COSE signature: {reason}")]
    Malformed {
        /// What is wrong.
        reason: &'static str,
    },
    /// The key could not sign.
    #[error("signing failed")]
    Key(#[from] KeyError),
}

fn malformed(reason: &'static str) -> CoseError {
    CoseError::Malformed { reason }
}

const TAG_SIGN1: u64 = 18;
const ALG: i64 = 1;
const KID: i64 = 4;
const CWT_CLAIMS: i64 = 15;
const CWT_ISS: i64 = 1;
const CWT_SUB: i64 = 2;
const CWT_IAT: i64 = 6;
const VDS: i64 = 395;
const VDP: i64 = 396;
const INCLUSION: i64 = -1;
const CCF: &str = "ccf.v1";
const TXID: &str = "txid";

/// What the protected headers say; absent ones are `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Headers {
    /// Algorithm number.
    pub alg: Option<i64>,
    /// Key id as text.
    pub kid: Option<String>,
    /// Kind of verifiable data structure.
    pub vds: Option<i64>,
    /// Time of signing, seconds since 1970.
    pub issued_at: Option<i64>,
    /// Position of the signature.
    pub txid: Option<String>,
}

/// A parsed COSE_Sign1 message.
#[derive(Debug, Clone)]
pub struct CoseSign1 {
    protected: Vec<u8>,
    unprotected: Vec<(Value, Value)>,
    payload: Option<Vec<u8>>,
    signature: Vec<u8>,
    headers: Headers,
}

impl CoseSign1 {
    /// Reads a message; nothing may follow it.
    ///
    /// # Errors
    /// [`CoseError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, CoseError> {
        let Value::Tag(TAG_SIGN1, inner) = cbor::decode(bytes).ok_or(malformed("not CBOR"))? else {
            return Err(malformed("no tag 18"));
        };
        let parts = inner.into_array().map_err(|_| malformed("not an array"))?;
        let [protected, unprotected, payload, signature] =
            <[Value; 4]>::try_from(parts).map_err(|_| malformed("not four elements"))?;
        let protected = protected.into_bytes().map_err(|_| malformed("protected headers are not bytes"))?;
        let unprotected =
            unprotected.into_map().map_err(|_| malformed("unprotected headers are not a map"))?;
        let payload = match payload {
            Value::Null => None,
            Value::Bytes(bytes) => Some(bytes),
            _ => return Err(malformed("payload is neither bytes nor nil")),
        };
        let signature = signature.into_bytes().map_err(|_| malformed("signature is not bytes"))?;
        let headers = Headers::parse(&protected)?;
        Ok(Self { protected, unprotected, payload, signature, headers })
    }

    /// The protected headers.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The payload, if it is inside the message.
    #[must_use]
    pub fn payload(&self) -> Option<&[u8]> {
        self.payload.as_deref()
    }

    /// Whether `key` signed `root` with these headers.
    #[must_use]
    pub fn verifies(&self, key: &PublicKey, root: &[u8]) -> bool {
        self.headers.alg == Some(algorithm(key.curve()))
            && key.verifies_cose(&structure(&self.protected, root), &self.signature)
    }

    /// Whether `key` signed these headers and the payload inside the message.
    #[must_use]
    pub fn verifies_payload(&self, key: &PublicKey) -> bool {
        self.payload.as_ref().is_some_and(|payload| self.verifies(key, payload))
    }

    /// The same message with inclusion proofs: a receipt.
    pub(crate) fn with_inclusion_proofs(&self, proofs: Vec<Vec<u8>>) -> Vec<u8> {
        let proofs = Value::Array(proofs.into_iter().map(Value::Bytes).collect());
        let unprotected = Value::Map(vec![(VDP.into(), Value::Map(vec![(INCLUSION.into(), proofs)]))]);
        encode(&self.protected, unprotected, &self.signature)
    }
}

/// The inclusion proofs in the unprotected headers.
pub(crate) fn inclusion_proofs(message: &CoseSign1) -> Result<Vec<&[u8]>, CoseError> {
    let proofs = cbor::get(&message.unprotected, &VDP.into()).and_then(Value::as_map);
    let proofs = proofs.and_then(|map| cbor::get(map, &INCLUSION.into())).and_then(Value::as_array);
    let proofs = proofs.ok_or(malformed("no inclusion proofs"))?;
    proofs
        .iter()
        .map(|proof| proof.as_bytes().map(Vec::as_slice).ok_or(malformed("a proof is not bytes")))
        .collect()
}

impl Headers {
    fn parse(protected: &[u8]) -> Result<Self, CoseError> {
        let map = cbor::decode(protected).and_then(|value| value.into_map().ok());
        let map = map.ok_or(malformed("protected headers are not a map"))?;
        if (1..map.len())
            .any(|at| map.iter().take(at).any(|(key, _)| map.get(at).is_some_and(|(k, _)| k == key)))
        {
            return Err(malformed("a header appears twice"));
        }
        let integer = |value: &Value| value.as_integer().and_then(|integer| i64::try_from(integer).ok());
        let claims = cbor::get(&map, &CWT_CLAIMS.into()).and_then(Value::as_map);
        let ccf = cbor::get(&map, &CCF.into()).and_then(Value::as_map);
        Ok(Self {
            alg: cbor::get(&map, &ALG.into()).and_then(integer),
            kid: cbor::get(&map, &KID.into())
                .and_then(Value::as_bytes)
                .and_then(|kid| String::from_utf8(kid.clone()).ok()),
            vds: cbor::get(&map, &VDS.into()).and_then(integer),
            issued_at: claims.and_then(|claims| cbor::get(claims, &CWT_IAT.into())).and_then(integer),
            txid: ccf
                .and_then(|ccf| cbor::get(ccf, &TXID.into()))
                .and_then(Value::as_text)
                .map(str::to_owned),
        })
    }
}

/// Signs a Merkle root for the signature at `txid`.
pub(crate) fn sign(
    key: &PrivateKey,
    root: &Digest,
    txid: TxId,
    unix_seconds: u64,
) -> Result<Vec<u8>, CoseError> {
    let claims = Value::Map(vec![
        (CWT_IAT.into(), unix_seconds.into()),
        (CWT_ISS.into(), "ledger".into()),
        (CWT_SUB.into(), "ledger.signature".into()),
    ]);
    let protected = Value::Map(vec![
        (ALG.into(), algorithm(key.public().curve()).into()),
        (KID.into(), Value::Bytes(key.public().id().into_bytes())),
        (VDS.into(), 2.into()),
        (CWT_CLAIMS.into(), claims),
        (CCF.into(), Value::Map(vec![(TXID.into(), txid.to_string().into())])),
    ]);
    let protected = cbor::encode(&protected);
    let signature = key.sign_cose(&structure(&protected, root))?;
    Ok(encode(&protected, Value::Map(Vec::new()), &signature))
}

/// Signs the key of the service before a recovery. `begin` and `end` are its first and last position, `root` the last that it
/// signed.
pub(crate) fn endorse(
    key: &PrivateKey,
    endorsed: &PublicKey,
    (begin, end): (TxId, TxId),
    root: &Digest,
    unix_seconds: u64,
) -> Result<Vec<u8>, CoseError> {
    let epoch = Value::Map(vec![
        ("epoch.start.txid".into(), begin.to_string().into()),
        ("epoch.end.txid".into(), end.to_string().into()),
        ("epoch.end.merkle.root".into(), Value::Bytes(root.to_vec())),
    ]);
    let protected = cbor::encode(&Value::Map(vec![
        (ALG.into(), algorithm(key.public().curve()).into()),
        (CWT_CLAIMS.into(), Value::Map(vec![(CWT_IAT.into(), unix_seconds.into())])),
        (CCF.into(), epoch),
    ]));
    let signature = key.sign_cose(&structure(&protected, endorsed.spki()))?;
    let parts = vec![
        Value::Bytes(protected),
        Value::Map(Vec::new()),
        Value::Bytes(endorsed.spki().to_vec()),
        Value::Bytes(signature),
    ];
    Ok(cbor::encode(&Value::Tag(TAG_SIGN1, Box::new(Value::Array(parts)))))
}

fn algorithm(curve: Curve) -> i64 {
    match curve {
        Curve::P256 => -7,
        Curve::P384 => -35,
    }
}

fn structure(protected: &[u8], payload: &[u8]) -> Vec<u8> {
    cbor::encode(&Value::Array(vec![
        "Signature1".into(),
        Value::Bytes(protected.to_vec()),
        Value::Bytes(Vec::new()),
        Value::Bytes(payload.to_vec()),
    ]))
}

fn encode(protected: &[u8], unprotected: Value, signature: &[u8]) -> Vec<u8> {
    let parts =
        vec![Value::Bytes(protected.to_vec()), unprotected, Value::Null, Value::Bytes(signature.to_vec())];
    cbor::encode(&Value::Tag(TAG_SIGN1, Box::new(Value::Array(parts))))
}

/// The little of CBOR that is needed here.
pub(crate) mod cbor {
    use ciborium::Value;

    /// Deeper nesting than any message of ours has; bounds the stack.
    const MAX_DEPTH: usize = 16;

    /// One value and nothing behind it.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Value> {
        let value = ciborium::de::from_reader_with_recursion_limit(&mut bytes, MAX_DEPTH).ok()?;
        bytes.is_empty().then_some(value)
    }

    /// Like [`decode`], and refuses what has another, shorter or plainer encoding.
    pub(crate) fn decode_canonical(bytes: &[u8]) -> Option<Value> {
        decode(bytes).filter(|value| encode(value) == bytes)
    }

    pub(crate) fn encode(value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        // Writing to a vector cannot fail.
        let _: Result<(), _> = ciborium::into_writer(value, &mut out);
        out
    }

    pub(crate) fn get<'a>(map: &'a [(Value, Value)], key: &Value) -> Option<&'a Value> {
        map.iter().find(|(k, _)| k == key).map(|(_, value)| value)
    }
}
