//! `ledger yard cc`: SQL that attaches many databases to one connection.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use globset::{Glob, GlobSet, GlobSetBuilder};
use ledger_yard::{Composite, Dialect, Scope};

use super::YardFailure;
use crate::console::Console;
use crate::errors::Failure;

/// Arguments of `yard cc`.
#[derive(Args, Debug)]
pub(crate) struct CompositeArgs {
    /// Folder that holds `embedded`
    #[arg(long, value_name = "DIR", default_value = ".")]
    volume_root: PathBuf,
    /// Which databases
    #[arg(long, value_name = "SCOPE", value_enum, default_value_t = ScopeName::Admin)]
    scope: ScopeName,
    /// With --scope tenant: which one
    #[arg(long, value_name = "ID")]
    tenant_id: Option<String>,
    /// For which engine
    #[arg(long, value_name = "DIALECT", value_enum, ignore_case = true, default_value_t = DialectName::Sqlite)]
    dialect: DialectName,
    /// Databases to take, relative to the folder of the scope, separated by commas
    #[arg(
        long,
        value_name = "CSV",
        value_delimiter = ',',
        default_value = "**/*.sqlite.db,**/*.sqlite,**/*.sqlite3,**/*.db"
    )]
    globs: Vec<String>,
    /// Databases to leave out, relative to the folder of the scope, separated by commas
    #[arg(long, value_name = "CSV", value_delimiter = ',')]
    ignore: Vec<String>,
    /// Lines to put in front; may be repeated
    #[arg(long = "pragma", value_name = "SQL")]
    pragmas: Vec<String>,
    /// Whether those lines are sorted, and repetitions removed
    #[arg(long, value_name = "ORDER", value_enum, default_value_t = PragmaOrder::Sorted)]
    pragma_order: PragmaOrder,
    /// Accepted for scripts that were written for the original program, where it has no effect either
    #[arg(long, value_name = "ORDER", hide = true)]
    extra_sql_order: Option<String>,
    /// DuckDB: install and load its extension for SQLite
    #[arg(long)]
    duckdb_sqlite_ext: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ScopeName {
    Admin,
    CrossTenant,
    Tenant,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DialectName {
    #[value(name = "SQLite")]
    Sqlite,
    #[value(name = "DuckDB")]
    DuckDb,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PragmaOrder {
    Sorted,
    #[value(name = "asProvided")]
    AsProvided,
}

pub(super) fn run(args: &CompositeArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let scope = match (args.scope, &args.tenant_id) {
        (ScopeName::Admin, _) => Scope::Admin,
        (ScopeName::CrossTenant, _) => Scope::CrossTenant,
        (ScopeName::Tenant, Some(id)) if is_folder_name(id) => Scope::Tenant(id.clone()),
        (ScopeName::Tenant, Some(id)) => {
            return Err(Failure::Arguments(format!("cc: --tenant-id {id:?} is not the name of a folder")));
        }
        (ScopeName::Tenant, None) => {
            return Err(Failure::Arguments("cc: --tenant-id is required when --scope tenant".to_owned()));
        }
    };
    let dialect = match args.dialect {
        DialectName::Sqlite => Dialect::Sqlite,
        DialectName::DuckDb => Dialect::DuckDb { install: args.duckdb_sqlite_ext },
    };
    let composite = Composite {
        root: args.volume_root.clone(),
        scope,
        dialect,
        include: globs(&args.globs)?,
        ignore: globs(&args.ignore)?,
        pragmas: args.pragmas.clone(),
        sort_pragmas: args.pragma_order == PragmaOrder::Sorted,
    };
    let composed = composite.compose();
    for remark in composed.remarks {
        console.note(format_args!("Warning: {remark}"));
    }
    console.out.write_all(composed.sql.as_bytes())?;
    Ok(())
}

/// One step down, and nowhere else.
fn is_folder_name(id: &str) -> bool {
    !id.is_empty() && id != "." && id != ".." && !id.contains(['/', '\0'])
}

fn globs(patterns: &[String]) -> Result<GlobSet, YardFailure> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns.iter().filter(|pattern| !pattern.is_empty()) {
        set.add(Glob::new(pattern).map_err(ledger_yard::SettingsError::from)?);
    }
    Ok(set.build().map_err(ledger_yard::SettingsError::from)?)
}
