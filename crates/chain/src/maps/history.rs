use super::{Maps, MapsError, Version, cursor::MergedRecords, run};

/// What was done to a key, oldest first; each version is read when it is asked for. Ends after the first error.
#[derive(Debug)]
pub struct History<'a> {
    maps: &'a Maps,
    map: String,
    key: Vec<u8>,
    composite: Vec<u8>,
    runs: MergedRecords<'a>,
    recent: std::slice::Iter<'a, u64>,
    failed: bool,
}

impl<'a> History<'a> {
    pub(super) fn new(maps: &'a Maps, map: &str, key: &[u8]) -> Result<Self, MapsError> {
        let composite = run::composite(map, key);
        let runs = MergedRecords::of_runs(maps.runs.iter(), &composite)?;
        let recent = maps.recent.get(&composite).map(Vec::as_slice).unwrap_or_default().iter();
        let (map, key) = (map.to_owned(), key.to_vec());
        Ok(Self { maps, map, key, composite, runs, recent, failed: false })
    }

    /// The next entry that touched the key. Runs hold what is older than recent entries.
    fn next_seqno(&mut self) -> Result<Option<u64>, MapsError> {
        let Some(record) = self.runs.record().filter(|record| record.key == self.composite) else {
            return Ok(self.recent.next().copied());
        };
        let seqno = record.seqno;
        self.runs.advance()?;
        Ok(Some(seqno))
    }
}

impl Iterator for History<'_> {
    type Item = Result<Version, MapsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let version = self.next_seqno().transpose()?;
        let version = version.and_then(|seqno| self.maps.version(&self.map, &self.key, seqno));
        self.failed = version.is_err();
        Some(version)
    }
}
