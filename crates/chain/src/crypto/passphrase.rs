//! Protection of key files by a passphrase: the `EncryptedPrivateKeyInfo` of PKCS#8 (RFC 5958, section 3) with PBES2 (RFC 8018),
//! which `openssl pkey` and its kin read.
//!
//! ```text
//! SEQUENCE
//!   SEQUENCE
//!     OID 1.2.840.113549.1.5.13            PBES2
//!     SEQUENCE
//!       SEQUENCE
//!         OID 1.2.840.113549.1.5.12        PBKDF2
//!         SEQUENCE
//!           OCTET STRING salt              16 bytes
//!           INTEGER      iterations        600,000
//!           SEQUENCE
//!             OID 1.2.840.113549.2.9, NULL hmacWithSHA256
//!       SEQUENCE
//!         OID 2.16.840.1.101.3.4.1.42      AES-256 in CBC mode, PKCS#7 padding
//!         OCTET STRING iv                  16 bytes
//!   OCTET STRING                           what is protected
//! ```
//!
//! Read are also AES-128, and HMAC with SHA-1, SHA-384 and SHA-512, which other programs write.

use std::{
    num::NonZeroU32,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::{
    cipher::{
        AES_128, AES_256, Algorithm as Cipher, DecryptionContext, EncryptionContext,
        PaddedBlockDecryptingKey, PaddedBlockEncryptingKey, UnboundCipherKey,
    },
    iv::FixedLength,
    pbkdf2::{self, PBKDF2_HMAC_SHA1, PBKDF2_HMAC_SHA256, PBKDF2_HMAC_SHA384, PBKDF2_HMAC_SHA512},
    rand,
};
use thiserror::Error;
use yasna::{ASN1Result, BERReader, models::ObjectIdentifier};
use zeroize::Zeroizing;

const PBES2: [u64; 7] = [1, 2, 840, 113_549, 1, 5, 13];
const PBKDF2: [u64; 7] = [1, 2, 840, 113_549, 1, 5, 12];
const HMAC: [u64; 5] = [1, 2, 840, 113_549, 2];
const HMAC_SHA1: u64 = 7;
const HMAC_SHA256: u64 = 9;
const HMAC_SHA384: u64 = 10;
const HMAC_SHA512: u64 = 11;
const AES: [u64; 8] = [2, 16, 840, 1, 101, 3, 4, 1];
const AES_128_CBC: u64 = 2;
const AES_256_CBC: u64 = 42;

/// What OWASP recommends for PBKDF2 with HMAC-SHA-256.
const ITERATIONS: u32 = 600_000;
/// A file that asks for more is refused, instead of keeping a processor busy for minutes.
const MAX_ITERATIONS: u32 = 5_000_000;

/// A passphrase. Wiped when dropped, never printed.
///
/// It remembers the last key that was derived from it, and protects with that: the files of a home share a salt, and opening
/// them takes the time of one derivation, a few tenths of a second.
pub struct Passphrase {
    bytes: Zeroizing<Vec<u8>>,
    derived: Mutex<Option<Derived>>,
}

/// How a key is derived.
#[derive(Clone, PartialEq, Eq)]
struct Derivation {
    salt: Vec<u8>,
    iterations: NonZeroU32,
    /// Last component of the object identifier of the HMAC.
    hmac: u64,
}

#[derive(Clone)]
struct Derived {
    by: Derivation,
    key: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

/// Something protected that cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProtectionError {
    /// The passphrase has no character.
    #[error("the passphrase is empty")]
    Empty,
    /// Another passphrase, or changed bytes: nothing can tell them apart.
    #[error("the passphrase is not the right one, or the file was changed")]
    Passphrase,
    /// Not the structure above.
    #[error("it is not in the form of an encrypted PKCS#8 key")]
    Form,
    /// A method that is not known here.
    #[error(
        "it is protected by {what}, which is not supported; convert it with `openssl pkcs8 -topk8 -v2 aes-256-cbc`"
    )]
    Unsupported {
        /// The method.
        what: String,
    },
    /// The cryptographic library refused.
    #[error("the cryptographic library refused to protect it")]
    Refused,
}

/// How something was protected.
struct Method {
    derivation: Derivation,
    cipher: &'static Cipher,
    key_bytes: usize,
    iv: [u8; 16],
}

impl Derivation {
    fn new() -> Result<Self, ProtectionError> {
        let mut salt = vec![0; 16];
        rand::fill(&mut salt).map_err(|_| ProtectionError::Refused)?;
        let iterations = NonZeroU32::new(ITERATIONS).ok_or(ProtectionError::Refused)?;
        Ok(Self { salt, iterations, hmac: HMAC_SHA256 })
    }

    fn algorithm(&self) -> Result<pbkdf2::Algorithm, ProtectionError> {
        match self.hmac {
            HMAC_SHA1 => Ok(PBKDF2_HMAC_SHA1),
            HMAC_SHA256 => Ok(PBKDF2_HMAC_SHA256),
            HMAC_SHA384 => Ok(PBKDF2_HMAC_SHA384),
            HMAC_SHA512 => Ok(PBKDF2_HMAC_SHA512),
            other => Err(unsupported(&oid(&HMAC, other))),
        }
    }
}

impl Passphrase {
    /// Uses these bytes.
    ///
    /// # Errors
    /// [`ProtectionError::Empty`].
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, ProtectionError> {
        let bytes = Zeroizing::new(bytes.into());
        let passphrase = Self { bytes, derived: Mutex::new(None) };
        if passphrase.bytes.is_empty() { Err(ProtectionError::Empty) } else { Ok(passphrase) }
    }

    /// Protects `clear`; DER.
    pub(crate) fn protect(&self, clear: &[u8]) -> Result<Vec<u8>, ProtectionError> {
        let mut iv = [0; 16];
        rand::fill(&mut iv).map_err(|_| ProtectionError::Refused)?;
        // What another program wrote may have been derived with less care.
        let strong =
            |derived: &Derived| derived.by.hmac == HMAC_SHA256 && derived.by.iterations.get() >= ITERATIONS;
        let before =
            self.derived().as_ref().filter(|derived| strong(derived)).map(|derived| derived.by.clone());
        let derivation = before.map_or_else(Derivation::new, Ok)?;
        let method = Method { derivation, cipher: &AES_256, key_bytes: 32, iv };
        let key = PaddedBlockEncryptingKey::cbc_pkcs7(self.key(&method)?);
        // Room for the padding, so that no copy in the clear stays behind.
        let mut data = Vec::with_capacity(clear.len().saturating_add(16));
        data.extend_from_slice(clear);
        key.and_then(|key| key.less_safe_encrypt(&mut data, EncryptionContext::Iv128(FixedLength::from(iv))))
            .map_err(|_| ProtectionError::Refused)?;
        Ok(encode(&method, &data))
    }

    /// Opens what [`protect`](Self::protect) or another program protected.
    pub(crate) fn open(&self, der: &[u8]) -> Result<Zeroizing<Vec<u8>>, ProtectionError> {
        let (method, data) = decode(der)?;
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(self.key(&method)?);
        let key = key.map_err(|_| ProtectionError::Refused)?;
        let mut clear = Zeroizing::new(data);
        let context = DecryptionContext::Iv128(FixedLength::from(method.iv));
        let length = key.decrypt(&mut clear, context).map_err(|_| ProtectionError::Passphrase)?.len();
        clear.truncate(length);
        Ok(clear)
    }

    fn derived(&self) -> MutexGuard<'_, Option<Derived>> {
        self.derived.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, method: &Method) -> Result<UnboundCipherKey, ProtectionError> {
        let by = &method.derivation;
        let algorithm = by.algorithm()?;
        let mut derived = self.derived();
        let key = match derived.as_ref().filter(|derived| derived.by == *by) {
            Some(derived) => derived.key.clone(),
            None => {
                let mut key = Zeroizing::new([0; 32]);
                pbkdf2::derive(algorithm, by.iterations, &by.salt, &self.bytes, &mut *key);
                *derived = Some(Derived { by: by.clone(), key: key.clone() });
                key
            }
        };
        // A shorter key is the beginning of a longer one.
        let key = key.get(..method.key_bytes).ok_or(ProtectionError::Refused)?;
        UnboundCipherKey::new(method.cipher, key).map_err(|_| ProtectionError::Refused)
    }
}

fn oid(base: &[u64], last: u64) -> ObjectIdentifier {
    ObjectIdentifier::from_slice(&[base, &[last]].concat())
}

fn encode(method: &Method, data: &[u8]) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_sequence(|writer| {
                writer.next().write_oid(&ObjectIdentifier::from_slice(&PBES2));
                writer.next().write_sequence(|writer| {
                    writer.next().write_sequence(|writer| {
                        writer.next().write_oid(&ObjectIdentifier::from_slice(&PBKDF2));
                        writer.next().write_sequence(|writer| {
                            writer.next().write_bytes(&method.derivation.salt);
                            writer.next().write_u32(method.derivation.iterations.get());
                            writer.next().write_sequence(|writer| {
                                writer.next().write_oid(&oid(&HMAC, method.derivation.hmac));
                                writer.next().write_null();
                            });
                        });
                    });
                    writer.next().write_sequence(|writer| {
                        writer.next().write_oid(&oid(&AES, AES_256_CBC));
                        writer.next().write_bytes(&method.iv);
                    });
                });
            });
            writer.next().write_bytes(data);
        });
    })
}

/// An algorithm identifier: its OID, and its parameters as they are.
fn algorithm(reader: BERReader<'_, '_>) -> ASN1Result<(ObjectIdentifier, Vec<u8>)> {
    reader.read_sequence(|reader| {
        let oid = reader.next().read_oid()?;
        Ok((oid, reader.read_optional(|reader| reader.read_der())?.unwrap_or_default()))
    })
}

fn decode(der: &[u8]) -> Result<(Method, Vec<u8>), ProtectionError> {
    let form = |_| ProtectionError::Form;
    let ((scheme, parameters), data) = yasna::parse_der(der, |reader| {
        reader.read_sequence(|reader| Ok((algorithm(reader.next())?, reader.next().read_bytes()?)))
    })
    .map_err(form)?;
    known(&scheme, &PBES2)?;
    let ((function, derivation), (encryption, iv)) = yasna::parse_der(&parameters, |reader| {
        reader.read_sequence(|reader| Ok((algorithm(reader.next())?, algorithm(reader.next())?)))
    })
    .map_err(form)?;
    known(&function, &PBKDF2)?;
    let (salt, iterations, hmac) = yasna::parse_der(&derivation, |reader| {
        reader.read_sequence(|reader| {
            let salt = reader.next().read_bytes()?;
            let iterations = reader.next().read_u32()?;
            // The length of the key follows from the cipher.
            reader.read_optional(|reader| reader.read_u32())?;
            Ok((salt, iterations, reader.read_optional(algorithm)?))
        })
    })
    .map_err(form)?;
    let iv = yasna::parse_der(&iv, |reader| reader.read_bytes()).map_err(form)?;
    let (cipher, key_bytes) = match encryption {
        oid_ if oid_ == oid(&AES, AES_128_CBC) => (&AES_128, 16),
        oid_ if oid_ == oid(&AES, AES_256_CBC) => (&AES_256, 32),
        other => return Err(unsupported(&other)),
    };
    let iterations = NonZeroU32::new(iterations).filter(|count| count.get() <= MAX_ITERATIONS);
    let iterations = iterations.ok_or(ProtectionError::Form)?;
    let method = Method {
        derivation: Derivation { salt, iterations, hmac: hmac_number(hmac.map(|(oid, _)| oid))? },
        cipher,
        key_bytes,
        iv: iv.try_into().map_err(|_| ProtectionError::Form)?,
    };
    Ok((method, data))
}

/// HMAC-SHA-1 is meant where nothing is said.
fn hmac_number(hmac: Option<ObjectIdentifier>) -> Result<u64, ProtectionError> {
    let Some(hmac) = hmac else { return Ok(HMAC_SHA1) };
    match hmac.components().split_last() {
        Some((last, base)) if base == HMAC => Ok(*last),
        _ => Err(unsupported(&hmac)),
    }
}

fn known(found: &ObjectIdentifier, wanted: &[u64]) -> Result<(), ProtectionError> {
    if found.components().as_slice() == wanted { Ok(()) } else { Err(unsupported(found)) }
}

fn unsupported(found: &ObjectIdentifier) -> ProtectionError {
    ProtectionError::Unsupported { what: format!("the method with the object identifier {found}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_protected_opens_with_the_same_passphrase_only() {
        let passphrase = Passphrase::new("correct horse").unwrap();
        for clear in [&b""[..], b"x", &[7; 16], &[9; 1000]] {
            let protected = passphrase.protect(clear).unwrap();
            assert!(
                clear.len() < 16 || !protected.windows(16).any(|part| clear.windows(16).any(|c| c == part))
            );
            assert_eq!(*passphrase.open(&protected).unwrap(), clear);
        }
        let protected = passphrase.protect(&[9; 1000]).unwrap();
        let opened = Passphrase::new("wrong horse").unwrap().open(&protected);
        // One time in 256 the padding looks right; the contents do not.
        assert!(opened.is_err() || *opened.unwrap() != [9; 1000]);
        assert_eq!(Passphrase::new("").unwrap_err(), ProtectionError::Empty);
        assert_eq!(format!("{passphrase:?}"), "Passphrase(…)");
    }

    #[test]
    fn other_methods_and_damage_are_told_apart() {
        let passphrase = Passphrase::new("p").unwrap();
        let protected = passphrase.protect(b"secret").unwrap();
        let with = |from: &[u8], to: &[u8]| {
            let at = protected.windows(from.len()).position(|part| part == from).unwrap();
            let mut changed = protected.clone();
            changed[at..at + to.len()].copy_from_slice(to);
            passphrase.open(&changed).unwrap_err()
        };
        // PBKDF2 becomes PBMAC1.
        let error = with(b"\x01\x05\x0c", b"\x01\x05\x0e");
        assert!(
            matches!(&error, ProtectionError::Unsupported { what } if what.contains("1.5.14")),
            "{error}"
        );
        // 600,000 iterations become 8 million.
        assert_eq!(with(b"\x02\x03\x09\x27\xc0", b"\x02\x03\x7f\xff\xff"), ProtectionError::Form);
        // They become none: the length of the number stays, since that of what is around it does.
        assert_eq!(with(b"\x02\x03\x09\x27\xc0", b"\x02\x03\x00\x00\x00"), ProtectionError::Form);
        for length in 0..protected.len() {
            assert_eq!(passphrase.open(&protected[..length]).unwrap_err(), ProtectionError::Form, "{length}");
        }
    }
}
