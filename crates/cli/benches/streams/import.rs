//! `ledger stream import` of a large file.

use crate::report::Report;

pub fn import(_report: &mut Report) {}
