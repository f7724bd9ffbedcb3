use std::{fmt, str::FromStr};

/// The position of an entry: `view.seqno`. Views change with the writer, sequence numbers count from 1 without gaps.
///
/// ```
/// use ledger_chain::TxId;
/// let id: TxId = "2.17".parse()?;
/// assert_eq!((id.view, id.seqno), (2, 17));
/// assert_eq!(id.to_string(), "2.17");
/// # Ok::<(), ledger_chain::ParseTxIdError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxId {
    /// The view (term) of the writer; 31 bits.
    pub view: u32,
    /// The sequence number, from 1.
    pub seqno: u64,
}

/// Text that is not `view.seqno` with two decimal numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a position: write <view>.<seqno>, for example 2.17")]
pub struct ParseTxIdError {
    text: String,
}

impl fmt::Display for TxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.view, self.seqno)
    }
}

impl FromStr for TxId {
    type Err = ParseTxIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        text.split_once('.')
            .filter(|(view, seqno)| plain(view) && plain(seqno))
            .and_then(|(view, seqno)| Some(Self { view: view.parse().ok()?, seqno: seqno.parse().ok()? }))
            .ok_or_else(|| ParseTxIdError { text: text.to_owned() })
    }
}

impl serde::Serialize for TxId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
