//! How models compare (specification §6.11).

use rusqlite::params_from_iter;

use super::error::{ArchiveError, Context};
use super::load::text_of;
use super::query::conditions;
use super::{Archive, open};
use crate::reader::Query;

/// What turns of one model, activity and source come to together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelUse {
    /// The model; `unknown` when it is empty.
    pub model: String,
    /// The activity; `unclassified` when there is none.
    pub activity: String,
    /// The source.
    pub source: String,
    /// Turns.
    pub turns: i64,
    /// Turns that edited files.
    pub edit_turns: i64,
    /// Turns that edited files and needed no second attempt.
    pub one_shot_turns: i64,
    /// input, output, reasoning, cacheRead, cacheCreate5m, cacheCreate1h
    pub usage: [i64; 6],
}

/// The median of the attempts that failed in turns that edited files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RetryMedian {
    /// The model.
    pub model: String,
    /// The activity.
    pub activity: String,
    /// The median; of an even number the mean of the two in the middle.
    pub retries: f64,
}

const MODEL: &str = "CASE WHEN model = '' THEN 'unknown' ELSE model END";
const ACTIVITY: &str = "coalesce(activity, 'unclassified')";

impl Archive {
    /// Sums per model, activity and source.
    pub fn by_model(&self, query: &Query) -> Result<Vec<ModelUse>, ArchiveError> {
        let path = self.path();
        let Some(db) = open::for_reading(&path)? else { return Ok(Vec::new()) };
        let read = || {
            let (condition, values) = conditions(&db, query, "empty")?;
            let mut statement = db.prepare(&format!(
                "SELECT {MODEL} AS m, {ACTIVITY} AS a, source, count(*), total(has_edits = 1),
                   total(has_edits = 1 AND coalesce(retries, 0) = 0), total(input_tokens), total(output_tokens),
                   total(reasoning_tokens), total(cache_read_tokens), total(cache_create_5m_tokens),
                   total(cache_create_1h_tokens)
                 FROM turns{condition} GROUP BY m, a, source ORDER BY m, a, source"
            ))?;
            let rows = statement.query_map(params_from_iter(values), |row| {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "sums of counts; beyond 2^63 they saturate"
                )]
                let whole = |index| Ok::<_, rusqlite::Error>(row.get::<_, f64>(index)? as i64);
                Ok(ModelUse {
                    model: text_of(row, 0)?,
                    activity: text_of(row, 1)?,
                    source: text_of(row, 2)?,
                    turns: row.get(3)?,
                    edit_turns: whole(4)?,
                    one_shot_turns: whole(5)?,
                    usage: [whole(6)?, whole(7)?, whole(8)?, whole(9)?, whole(10)?, whole(11)?],
                })
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|error| Context { path: &path, operation: "query" }.wrap(error))
    }

    /// Medians of retries per model and activity.
    pub fn retry_medians(&self, query: &Query) -> Result<Vec<RetryMedian>, ArchiveError> {
        let path = self.path();
        let Some(db) = open::for_reading(&path)? else { return Ok(Vec::new()) };
        let read = || {
            let (condition, values) = conditions(&db, query, "empty")?;
            let and = if condition.is_empty() { " WHERE" } else { " AND" };
            let mut statement = db.prepare(&format!(
                "WITH edits AS (
                   SELECT {MODEL} AS m, {ACTIVITY} AS a, coalesce(retries, 0) AS r FROM turns{condition}{and} has_edits = 1),
                 placed AS (
                   SELECT m, a, r, row_number() OVER (PARTITION BY m, a ORDER BY r) AS place,
                     count(*) OVER (PARTITION BY m, a) AS number FROM edits)
                 SELECT m, a, avg(r) FROM placed WHERE place IN ((number + 1) / 2, (number + 2) / 2)
                 GROUP BY m, a ORDER BY m, a"
            ))?;
            let rows = statement.query_map(params_from_iter(values), |row| {
                Ok(RetryMedian { model: text_of(row, 0)?, activity: text_of(row, 1)?, retries: row.get(2)? })
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|error| Context { path: &path, operation: "query" }.wrap(error))
    }
}
