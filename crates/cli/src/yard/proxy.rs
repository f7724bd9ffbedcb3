//! `ledger yard proxy-conf`: files for nginx, Traefik and Nginx Proxy Manager.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use ledger_yard::{NginxOptions, ProxyFile, Route, TraefikOptions, nginx_proxy_manager};

use super::{LedgerHome, YardFailure};
use crate::console::Console;
use crate::errors::Failure;

/// Arguments of `yard proxy-conf`.
#[derive(Args, Debug)]
pub(crate) struct ProxyArgs {
    #[command(flatten)]
    home: LedgerHome,
    /// For which proxy
    #[arg(long = "type", value_name = "TYPE", value_enum, default_value_t = Proxy::Nginx)]
    proxy: Proxy,
    /// Folder for the files of nginx; include its *.conf at the level of http
    #[arg(long, value_name = "DIR")]
    nginx_out: Option<PathBuf>,
    /// Folder for the files of Traefik; give it to the file provider
    #[arg(long, value_name = "DIR")]
    traefik_out: Option<PathBuf>,
    /// Services that do not run, too
    #[arg(long)]
    include_dead: bool,
    /// Path under which services are offered, in the place of their own prefix
    #[arg(long, value_name = "PREFIX")]
    location_prefix: Option<String>,
    /// Ask services without the prefix, unless they were told it
    #[arg(long)]
    strip_prefix: bool,
    /// nginx: names of the server
    #[arg(long, value_name = "NAMES", default_value = "_")]
    server_name: String,
    /// nginx: where the server listens
    #[arg(long, value_name = "ADDRESS", default_value = "80")]
    listen: String,
    /// Traefik: entry points, separated by commas
    #[arg(long, value_name = "NAMES", default_value = "web", value_delimiter = ',')]
    entrypoints: Vec<String>,
    /// Traefik: rule, in the place of the one for the prefix
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// Text to add to the server of nginx
    #[arg(long, value_name = "TEXT", default_value = "")]
    nginx_extra: String,
    /// Text to add to every document for Traefik
    #[arg(long, value_name = "TEXT", default_value = "")]
    traefik_extra: String,
    /// Nginx Proxy Manager: scheme of the services
    #[arg(long, value_name = "SCHEME", default_value = "http")]
    upstream_scheme: String,
    /// Nginx Proxy Manager: host of the services
    #[arg(long, value_name = "HOST", default_value = "0.0.0.0")]
    upstream_host: String,
    /// Say which files were written
    #[arg(long)]
    verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Proxy {
    Nginx,
    Traefik,
    Both,
    NginxProxyManager,
}

pub(super) fn run(args: &ProxyArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let routes = routes(args, console)?;
    if args.proxy == Proxy::NginxProxyManager {
        let json = nginx_proxy_manager(&routes, &args.upstream_scheme, &args.upstream_host);
        writeln!(console.out, "{}", serde_json::to_string_pretty(&json).unwrap_or_default())?;
        return Ok(());
    }
    if matches!(args.proxy, Proxy::Nginx | Proxy::Both) {
        let options = NginxOptions {
            listen: args.listen.clone(),
            server_name: args.server_name.clone(),
            strip_prefix: args.strip_prefix,
            extra: args.nginx_extra.clone(),
        };
        match &args.nginx_out {
            None => console.out.write_all(options.bundle(&routes).as_bytes())?,
            Some(folder) => {
                let folder = made(folder)?;
                write(&folder, &options.files(&routes, &folder), args.verbose, console)?;
            }
        }
    }
    if matches!(args.proxy, Proxy::Traefik | Proxy::Both) {
        let options = TraefikOptions {
            entrypoints: args.entrypoints.clone(),
            rule: args.rule.clone(),
            strip_prefix: args.strip_prefix,
            extra: args.traefik_extra.clone(),
        };
        match &args.traefik_out {
            None => console.out.write_all(options.bundle(&routes).as_bytes())?,
            Some(folder) => write(&made(folder)?, &options.files(&routes), args.verbose, console)?,
        }
    }
    Ok(())
}

/// What is in the ledger now. A context that cannot be read is reported, and the others are still served.
fn routes(args: &ProxyArgs, console: &mut Console<'_>) -> Result<Vec<Route>, Failure> {
    let Some(home) = args.home.existing()? else { return Ok(Vec::new()) };
    let (records, problems) = home.present().map_err(YardFailure::from)?;
    for problem in problems {
        console.note(format_args!("Warning: {problem}"));
    }
    let is_meant =
        |state: &str| args.include_dead || matches!(state, "ready" | "running" | "starting" | "restarting");
    let records = records.iter().filter(|record| is_meant(record.actual_state()));
    Ok(records.filter_map(|record| Route::of(record, args.location_prefix.as_deref())).collect())
}

/// The absolute path of a folder, which is made when missing.
fn made(folder: &Path) -> Result<PathBuf, Failure> {
    let failed = |source| Failure::File { action: "write", path: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    std::fs::canonicalize(folder).map_err(failed)
}

/// Writes files, each in one step, and removes those of services that are no longer there.
fn write(
    folder: &Path,
    files: &[ProxyFile],
    verbose: bool,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    for file in files {
        let (path, temporary) = (folder.join(&file.name), folder.join(format!("{}.tmp", file.name)));
        let written =
            std::fs::write(&temporary, &file.text).and_then(|()| std::fs::rename(&temporary, &path));
        written.map_err(|source| Failure::File { action: "write", path: path.clone(), source })?;
        if verbose {
            console.note(format_args!("wrote {}", path.display()));
        }
    }
    let stale = std::fs::read_dir(folder).into_iter().flatten().flatten().filter(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_ours = name.starts_with("truth-yard.")
            && [".location", ".yaml", ".conf", ".tmp"].iter().any(|end| name.ends_with(end));
        let is_of_this_kind =
            files.iter().any(|file| extension(&file.name) == extension(&name)) || files.is_empty();
        is_ours && is_of_this_kind && !files.iter().any(|file| file.name == name)
    });
    for entry in stale {
        let path = entry.path();
        std::fs::remove_file(&path).map_err(|source| Failure::File {
            action: "remove",
            path: path.clone(),
            source,
        })?;
    }
    Ok(())
}

fn extension(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or_default()
}
