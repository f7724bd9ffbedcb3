//! Upcasters and the choice of their path.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::codec::CodecError;

/// Brings a payload from one schema version to a later one; it may jump versions.
pub trait Upcaster<P>: Send + Sync {
    /// The version it understands.
    fn source_version(&self) -> u32;

    /// The version it makes; larger than [`source_version`](Upcaster::source_version).
    fn target_version(&self) -> u32;

    /// Converts one payload.
    ///
    /// # Errors
    /// If the payload does not have the shape of its version.
    fn upcast(&self, payload: P) -> Result<P, CodecError>;
}

/// An [`Upcaster`] made of a function.
pub struct UpcasterFn<F> {
    source_version: u32,
    target_version: u32,
    function: F,
}

impl<F> UpcasterFn<F> {
    /// Converts payloads of one version to another with a function.
    pub fn new(source_version: u32, target_version: u32, function: F) -> Self {
        Self { source_version, target_version, function }
    }
}

impl<P, F: Fn(P) -> Result<P, CodecError> + Send + Sync> Upcaster<P> for UpcasterFn<F> {
    fn source_version(&self) -> u32 {
        self.source_version
    }

    fn target_version(&self) -> u32 {
        self.target_version
    }

    fn upcast(&self, payload: P) -> Result<P, CodecError> {
        (self.function)(payload)
    }
}

/// Why an entry could not be brought up to date.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpcastError {
    /// No chain of upcasters leads to the stream's version.
    #[error("ledger: no upcaster available: version {from} to {to}; reachable: {reachable:?}")]
    NoPath {
        /// Stored version.
        from: i64,
        /// Version of the stream.
        to: u32,
        /// Versions that can be reached from the stored one, in rising order.
        reachable: Vec<u32>,
    },
    /// A step failed.
    #[error("upcast v{from} to v{to}: {source}")]
    Failed {
        /// Version before the step.
        from: u32,
        /// Version after the step.
        to: u32,
        /// What the upcaster said.
        source: CodecError,
    },
}

/// The upcasters of a stream.
pub(crate) struct Upcasters<P> {
    steps: Vec<Arc<dyn Upcaster<P>>>,
}

impl<P> Default for Upcasters<P> {
    fn default() -> Self {
        Self { steps: Vec::new() }
    }
}

impl<P> Clone for Upcasters<P> {
    fn clone(&self) -> Self {
        Self { steps: self.steps.clone() }
    }
}

impl<P> Upcasters<P> {
    pub(crate) fn push(&mut self, upcaster: impl Upcaster<P> + 'static) {
        self.steps.push(Arc::new(upcaster));
    }

    /// Brings a payload from its stored version to `target`. Version 0 (written without a version) is taken as 1;
    /// versions from `target` on are left as they are (specification §3.3; W25).
    pub(crate) fn upcast(&self, payload: P, stored: i64, target: u32) -> Result<P, UpcastError> {
        let Ok(from) = u32::try_from(stored.max(1)) else { return Ok(payload) };
        if stored < 0 || from >= target {
            return Ok(payload);
        }
        self.path(from, target)?.into_iter().try_fold(payload, |payload, step| {
            step.upcast(payload).map_err(|source| UpcastError::Failed {
                from: step.source_version(),
                to: step.target_version(),
                source,
            })
        })
    }

    /// The chain with the fewest steps; among equals, the one whose upcasters were registered first.
    fn path(&self, from: u32, target: u32) -> Result<Vec<&dyn Upcaster<P>>, UpcastError> {
        let mut reached_by: HashMap<u32, &dyn Upcaster<P>> = HashMap::new();
        let mut frontier = VecDeque::from([from]);
        while let Some(version) = frontier.pop_front() {
            for step in self.steps.iter().filter(|step| step.source_version() == version) {
                let next = step.target_version();
                if next > version && next <= target && !reached_by.contains_key(&next) {
                    reached_by.insert(next, step.as_ref());
                    frontier.push_back(next);
                }
            }
        }
        let mut path = Vec::new();
        let mut version = target;
        while version != from {
            let Some(step) = reached_by.get(&version) else {
                let mut reachable: Vec<u32> = reached_by.into_keys().collect();
                reachable.sort_unstable();
                return Err(UpcastError::NoPath { from: i64::from(from), to: target, reachable });
            };
            path.push(*step);
            version = step.source_version();
        }
        path.reverse();
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each step appends its name to the payload.
    fn upcasters(steps: &[(u32, u32)]) -> Upcasters<String> {
        let mut upcasters = Upcasters::default();
        for &(from, to) in steps {
            upcasters
                .push(UpcasterFn::new(from, to, move |payload: String| Ok(format!("{payload} {from}-{to}"))));
        }
        upcasters
    }

    #[test]
    fn the_shortest_chain_is_taken() {
        let upcasters = upcasters(&[(1, 2), (2, 3), (3, 4), (1, 3), (2, 4)]);
        assert_eq!(upcasters.upcast("p".into(), 1, 4).unwrap(), "p 1-2 2-4");
        assert_eq!(upcasters.upcast("p".into(), 1, 3).unwrap(), "p 1-3");
        assert_eq!(upcasters.upcast("p".into(), 3, 4).unwrap(), "p 3-4");
    }

    #[test]
    fn same_newer_and_negative_versions_are_left_alone() {
        let upcasters = upcasters(&[(1, 2)]);
        for stored in [2, 3, i64::MAX, -1] {
            assert_eq!(upcasters.upcast("p".into(), stored, 2).unwrap(), "p", "{stored}");
        }
    }

    #[test]
    fn an_entry_without_a_version_is_taken_as_the_first() {
        assert_eq!(upcasters(&[(1, 2)]).upcast("p".into(), 0, 2).unwrap(), "p 1-2");
    }

    #[test]
    fn a_missing_step_names_what_can_be_reached() {
        let error = upcasters(&[(1, 2), (4, 5)]).upcast("p".into(), 1, 5).unwrap_err();
        assert_eq!(error.to_string(), "ledger: no upcaster available: version 1 to 5; reachable: [2]");
    }

    #[test]
    fn loops_and_downcasts_do_not_hang() {
        assert!(upcasters(&[(2, 1), (1, 1), (2, 2), (1, 2)]).upcast("p".into(), 1, 3).is_err());
    }
}
