//! The page in a real browser: Chromium without a window.

use std::process::Command;

use crate::support::*;

/// The program that drives the browser.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/console/browser.mjs");
/// What talks to the browser, from npm.
const DRIVER: &str = "playwright-core@1.56.1";

/// The folder in which the driver is installed, once for all runs.
fn driver() -> std::path::PathBuf {
    let folder = target().join("console-browser");
    if !folder.join("node_modules/playwright-core/package.json").is_file() {
        std::fs::create_dir_all(&folder).unwrap();
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"]).arg(&folder).arg(DRIVER);
        let installed =
            npm.output().unwrap_or_else(|error| panic!("this test needs Node.js with npm: {error}"));
        assert!(installed.status.success(), "npm install {DRIVER}: {installed:?}");
    }
    folder
}

#[test]
fn the_page_works_in_a_browser() {
    need("chromium", "--no-install-recommends chromium");
    let driver = driver();
    let yard = yard();
    yard.database("evidence/audit 2026.db", "sqlpage_files");
    yard.database("evidence/ledger.db", "sqlpage_files");
    yard.ok(&["start"]);
    yard.ok(&["stop", "ledger.db"]);
    let web = Web::start(&yard, &[]);
    let screenshots = target().join("console-screenshots");
    std::fs::create_dir_all(&screenshots).unwrap();
    let mut node = Command::new("node");
    node.arg(SCRIPT)
        .arg(driver.join("node_modules/playwright-core/index.mjs"))
        .arg(web.url())
        .arg(&screenshots);
    let output = node.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    for name in ["desktop-light", "desktop-dark", "phone-light", "phone-dark", "drift", "files"] {
        assert!(screenshots.join(format!("{name}.png")).is_file(), "{name}: {said}");
    }
}
