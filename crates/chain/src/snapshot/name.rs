use std::fmt;

/// The name of a snapshot file, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SnapshotName {
    /// The signature whose state it holds.
    pub seqno: u64,
    /// The entry that records its digest.
    pub evidence: u64,
    /// Whether that entry is committed, and the receipt in the file.
    pub committed: bool,
}

impl SnapshotName {
    /// Reads a file name; `None` if it is not one of a snapshot. The form of 1.x, `….committed_<C>`, has no receipt inside and
    /// is not known here.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let rest = name.strip_prefix("snapshot_")?;
        let (rest, committed) = match rest.strip_suffix(".committed") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let (seqno, evidence) = rest.split_once('_')?;
        let name_of = Self { seqno: seqno.parse().ok()?, evidence: evidence.parse().ok()?, committed };
        // Only one spelling: no sign, no leading zero.
        (name_of.evidence > name_of.seqno && name_of.to_string() == name).then_some(name_of)
    }

    /// The name of a snapshot whose evidence is not committed yet.
    #[must_use]
    pub fn recorded(seqno: u64, evidence: u64) -> Self {
        Self { seqno, evidence, committed: false }
    }

    /// The same snapshot, committed.
    #[must_use]
    pub fn into_committed(self) -> Self {
        Self { committed: true, ..self }
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "snapshot_{}_{}", self.seqno, self.evidence)?;
        f.write_str(if self.committed { ".committed" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_alike_and_nothing_else_is_a_snapshot() {
        for name in ["snapshot_14_18", "snapshot_14_18.committed"] {
            assert_eq!(SnapshotName::parse(name).unwrap().to_string(), name);
        }
        for name in [
            "snapshot_14",
            "snapshot_18_14.committed",
            "snapshot_014_18",
            "snapshot_+14_18",
            "snapshot_14_18.committed_20",
            "snapshot_14_18.ignored",
            "snapshot_14_18.committed.endorsements",
            "ledger_1",
        ] {
            assert_eq!(SnapshotName::parse(name), None, "{name}");
        }
    }
}
