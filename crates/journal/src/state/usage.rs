//! The texts of help.

pub(super) const BURN: &str = "\
burn - a journal of what coding agents did, and its archive

usage:
  burn state [status] [--json]    what is derived from the ledger, and whether it is up to date
  burn state rebuild <target>     make derived files anew
  burn state prune                remove old content
  burn state reset                remove everything derived, and the ledger
  burn --version

`burn state help` tells more. The home is $RELAYBURN_HOME, or ~/.relayburn.
";

pub(super) const STATE: &str = "\
burn state - inspect and maintain derived ledger state

usage:
  burn state [status] [--json]
  burn state rebuild index
  burn state rebuild archive [build] [--json]
  burn state rebuild archive --full [--json]
  burn state rebuild archive vacuum [--json]
  burn state rebuild all
  burn state prune [--days <n>|forever] [--force]
  burn state reset [--force] [--reingest] [--json]

switches such as --json stand last, or before another option.
";

pub(super) const REBUILD: &str = "\
burn state rebuild - rebuild derived ledger artifacts

usage:
  burn state rebuild index                       both index files, from the ledger
  burn state rebuild archive [build] [--json]    add to the archive what is new in the ledger
  burn state rebuild archive --full [--json]     make the archive anew; the old one serves until then
  burn state rebuild archive vacuum [--json]     give back unused space of the archive
  burn state rebuild all                         index, then archive
  burn state rebuild classify, content           need the classifier and the ingest of the full product;
                                                 this program has neither
";

pub(super) const RESET: &str = "\
burn state reset - wipe all derived ledger state

usage:
  burn state reset [--json]             show what would be removed
  burn state reset --force [--json]     remove the ledger, its indexes, cursors, archive and content

config.json, models.dev.json, lock files and pending stamps are kept.
";
