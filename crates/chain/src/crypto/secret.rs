//! The secret of a ledger: encrypts private domains and makes the nonces of commit evidence.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hmac,
};
use thiserror::Error;
use zeroize::Zeroizing;

use super::sha256;
use crate::format::{Digest, GCM_TAG_BYTES, Iv, TxId};

/// Encryption or decryption failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealError {
    /// The tag does not fit: another secret, or changed bytes.
    #[error("the entry was not made with this ledger secret, or its bytes were changed")]
    Tag,
    /// The library refused.
    #[error("the cryptographic library refused to encrypt")]
    Refused,
}

/// An AES-256 key. Wiped when dropped, never printed.
pub struct LedgerSecret {
    bytes: Zeroizing<[u8; 32]>,
    aead: LessSafeKey,
    commit: hmac::Key,
}

impl std::fmt::Debug for LedgerSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LedgerSecret(…)")
    }
}

impl LedgerSecret {
    /// Uses these bytes.
    ///
    /// # Errors
    /// [`SealError::Refused`] if the library does not take them.
    pub fn new(bytes: [u8; 32]) -> Result<Self, SealError> {
        let bytes = Zeroizing::new(bytes);
        let aead = UnboundKey::new(&AES_256_GCM, &*bytes).map_err(|_| SealError::Refused)?;
        // Eight bytes of label, not the whole phrase: what existing ledgers were made with.
        let commit_secret = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &*bytes), b"Commit S");
        let commit = hmac::Key::new(hmac::HMAC_SHA256, commit_secret.as_ref());
        Ok(Self { bytes, aead: LessSafeKey::new(aead), commit })
    }

    /// Makes a new secret.
    ///
    /// # Errors
    /// [`SealError::Refused`] if the system gives no randomness.
    pub fn generate() -> Result<Self, SealError> {
        let mut bytes = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(&mut *bytes).map_err(|_| SealError::Refused)?;
        Self::new(*bytes)
    }

    /// The raw bytes, to be stored.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// Encrypts a private domain in place and returns the tag; the public domain is authenticated with it. An empty domain gets
    /// a tag too.
    ///
    /// # Errors
    /// [`SealError::Refused`].
    pub fn seal(&self, iv: Iv, public: &[u8], private: &mut [u8]) -> Result<[u8; GCM_TAG_BYTES], SealError> {
        let nonce = Nonce::assume_unique_for_key(iv.encode());
        let tag = self.aead.seal_in_place_separate_tag(nonce, Aad::from(public), private);
        let tag = tag.map_err(|_| SealError::Refused)?;
        tag.as_ref().try_into().map_err(|_| SealError::Refused)
    }

    /// Decrypts a private domain.
    ///
    /// # Errors
    /// [`SealError::Tag`].
    pub fn open(
        &self,
        iv: Iv,
        public: &[u8],
        tag: &[u8; GCM_TAG_BYTES],
        private: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let nonce = Nonce::assume_unique_for_key(iv.encode());
        let mut clear = Zeroizing::new(vec![0; private.len()]);
        self.aead
            .open_separate_gather(nonce, Aad::from(public), private, tag, &mut clear)
            .map_err(|_| SealError::Tag)?;
        Ok(clear)
    }

    /// Another secret, encrypted with this one: tag, random IV, cipher text.
    ///
    /// # Errors
    /// [`SealError::Refused`].
    pub fn wrap(&self, other: &Self) -> Result<Vec<u8>, SealError> {
        let mut iv = [0; 12];
        aws_lc_rs::rand::fill(&mut iv).map_err(|_| SealError::Refused)?;
        let mut cipher = other.bytes.to_vec();
        let nonce = Nonce::assume_unique_for_key(iv);
        let tag = self.aead.seal_in_place_separate_tag(nonce, Aad::empty(), &mut cipher);
        Ok([tag.map_err(|_| SealError::Refused)?.as_ref(), &iv, &cipher].concat())
    }

    /// The commit evidence of an entry: `ce:<view>.<seqno>:<nonce>`. Only who has the secret can make it; the entry holds its
    /// digest.
    #[must_use]
    pub fn commit_evidence(&self, txid: TxId) -> String {
        let nonce = hmac::sign(&self.commit, txid.to_string().as_bytes());
        format!("ce:{txid}:{}", hex::encode(nonce.as_ref()))
    }

    /// SHA-256 of the commit evidence.
    #[must_use]
    pub fn commit_evidence_digest(&self, txid: TxId) -> Digest {
        sha256(self.commit_evidence(txid).as_bytes())
    }
}
