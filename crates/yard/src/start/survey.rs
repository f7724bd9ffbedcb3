//! What is there: every data file with what it holds. Only files that have changed are looked into.

use std::collections::HashMap;
use std::path::Path;

use super::{Classified, Yard};
use crate::cargo::{Cargo, Content, Root, RootError, Stamp, Trouble, Walk, WalkProblem, classify, walk};

impl Yard {
    /// All data files with what they hold; only files that have changed are looked into.
    ///
    /// # Errors
    /// When a cargo home cannot be searched.
    pub fn survey(&mut self) -> Result<(Vec<Classified>, Vec<String>), RootError> {
        let roots: Result<Vec<Root>, RootError> =
            self.settings.cargo_homes.iter().map(|home| Root::new(home)).collect();
        let Walk { cargo, problems } = walk(&roots?, &self.settings.ignore);
        let mut remarks: Vec<String> = problems.iter().map(WalkProblem::to_string).collect();
        let contents = contents(&cargo, &self.seen);
        let mut seen = HashMap::with_capacity(cargo.len());
        let mut classified = Vec::with_capacity(cargo.len());
        for (cargo, content) in cargo.into_iter().zip(contents) {
            if let Content::Trouble(trouble) = &content {
                remarks.push(format!("yard: {}: {trouble}", cargo.walked));
            }
            // A locked file is asked again: it will not change when the lock goes.
            if content != Content::Trouble(Trouble::Locked) {
                seen.insert(cargo.provenance.clone(), (cargo.stamp, content.clone()));
            }
            classified.push(Classified { cargo, content });
        }
        self.seen = seen;
        Ok((classified, remarks))
    }
}

/// What each file holds, from memory where the file has not changed, else by looking, with all cores.
fn contents(cargo: &[Cargo], seen: &HashMap<String, (Stamp, Content)>) -> Vec<Content> {
    let look = |cargo: &Cargo| match seen.get(&cargo.provenance) {
        Some((stamp, content)) if *stamp == cargo.stamp => content.clone(),
        _ => classify(Path::new(&cargo.provenance)),
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = cargo.len().div_ceil(threads).max(64);
    std::thread::scope(|scope| {
        let workers: Vec<_> = cargo
            .chunks(share)
            .map(|chunk| scope.spawn(move || chunk.iter().map(look).collect::<Vec<Content>>()))
            .collect();
        let joined = workers.into_iter().map(|worker| worker.join().unwrap_or_default());
        joined.flatten().collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Home;
    use crate::settings::{ConfigFile, Settings};

    #[test]
    fn a_file_that_has_not_changed_is_not_looked_into_again() {
        let folder = tempfile::tempdir().unwrap();
        let cargo = folder.path().join("cargo.d");
        std::fs::create_dir(&cargo).unwrap();
        let path = cargo.join("a.db");
        let database = rusqlite::Connection::open(&path).unwrap();
        database.execute_batch("CREATE TABLE sqlpage_files(path)").unwrap();
        drop(database);
        let mut settings = Settings::new(ConfigFile::default(), Vec::new()).unwrap();
        settings.cargo_homes = vec![cargo];
        let home = Home::create(&folder.path().join("ledger.d")).unwrap();
        let mut yard = Yard::new(settings, home, "watch".to_owned()).unwrap();
        let mut is_served = || {
            let (classified, _) = yard.survey().unwrap();
            yard.kind_of(classified.first().unwrap()).is_some()
        };
        assert!(is_served());
        // Other bytes behind the same stamp: whoever looked would not find a database.
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        let (length, modified) =
            (file.metadata().unwrap().len(), file.metadata().unwrap().modified().unwrap());
        std::fs::write(&path, vec![b'x'; usize::try_from(length).unwrap()]).unwrap();
        file.set_modified(modified).unwrap();
        assert!(is_served());
        file.set_modified(modified + std::time::Duration::from_secs(1)).unwrap();
        assert!(!is_served());
    }
}
