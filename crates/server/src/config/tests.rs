use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;

fn load(folder: &Path, yaml: &str, environment: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let path = folder.join("config.yaml");
    std::fs::write(&path, yaml).unwrap();
    // It may hold a key.
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    let environment = environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Loaded::load(&Overrides { config: Some(path), environment, flags: Vec::new() }, false)
}

#[test]
fn the_file_of_the_first_run_is_read_on_the_next() {
    let home = tempfile::tempdir().unwrap();
    let environment = [("HOME".to_owned(), home.path().display().to_string())].into();
    let overrides = Overrides { environment, ..Overrides::default() };
    let first = Loaded::load(&overrides, false).unwrap();
    assert!(first.write_first_file().unwrap());
    assert!(!first.write_first_file().unwrap(), "a file that is there stays");
    let path = home.path().join(".ledger/config.yaml");
    assert_eq!(first.path, path);
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(Loaded::load(&overrides, false).unwrap().config, first.config);

    let edited = std::fs::read_to_string(&path).unwrap().replace("localhost:50051", "localhost:7000");
    std::fs::write(&path, edited.replace("# api_key: \"\"", "api_key: s3cret")).unwrap();
    let second = Loaded::load(&overrides, false).unwrap();
    assert_eq!(second.config.listen, "localhost:7000");
    assert_eq!(second.config.api_key.as_deref(), Some("s3cret"));
    assert_eq!(second.origin("listen"), Origin::File(path));
    assert_eq!(second.config.sqlite_path, home.path().join(".ledger/ledger.db"));
}

#[test]
fn every_commented_line_of_the_first_file_is_valid_when_uncommented() {
    let folder = tempfile::tempdir().unwrap();
    let first = load(folder.path(), "", &[]).unwrap();
    std::fs::remove_file(&first.path).unwrap();
    first.write_first_file().unwrap();
    let text = std::fs::read_to_string(&first.path).unwrap();
    let uncommented: Vec<_> = text
        .lines()
        .filter(|line| line.contains(':') && !line.trim_start().starts_with("# ") || line.starts_with("# "))
        .map(|line| line.strip_prefix("# ").unwrap_or(line))
        .filter(|line| {
            let key = line.trim_start().split(':').next().unwrap_or_default();
            line.contains(':') && !key.contains(' ') && !key.starts_with('#')
        })
        .collect();
    let keys = uncommented.len();
    let listed = SETTINGS.iter().filter(|setting| !setting.help.is_empty()).count();
    assert!(keys >= listed, "{keys} lines:\n{}", uncommented.join("\n"));
    let again = load(folder.path(), &uncommented.join("\n"), &[]).unwrap();
    assert_eq!(again.config, first.config);
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(
        &path,
        "listen: localhost:1\napi_key: file\nallowed_stores: [a, b]\nmax_message_bytes: 70000",
    )
    .unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    let environment =
        [("LEDGER_LISTEN", "localhost:2"), ("LEDGER_API_KEY", "env"), ("LEDGER_ALLOWED_STORES", "c, d")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let flags = vec![("--addr", "listen", "localhost:3".to_owned())];
    let loaded = Loaded::load(&Overrides { config: Some(path), environment, flags }, false).unwrap();
    assert_eq!(loaded.config.listen, "localhost:3");
    assert_eq!(loaded.config.api_key.as_deref(), Some("env"));
    assert_eq!(loaded.config.allowed_stores, ["c", "d"]);
    assert_eq!(loaded.config.max_message_bytes, 70_000);
    assert_eq!(loaded.origin("listen"), Origin::Flag("--addr"));
    assert_eq!(loaded.origin("api_key"), Origin::Environment("LEDGER_API_KEY".to_owned()));
    assert!(!format!("{:?}", loaded.config).contains("env"), "secrets stay out of debug output");
}

#[test]
fn errors_name_the_file_the_key_and_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml").display().to_string();
    for (yaml, expected) in [
        (
            "lissten: x:1",
            format!("ledger: config: unknown key \"lissten\" in {path}; did you mean \"listen\"?"),
        ),
        (
            "tls: {crt: x}",
            format!("ledger: config: unknown key \"tls.crt\" in {path}; did you mean \"tls.cert\"?"),
        ),
        (
            "db: {sqlite: {pth: x}}",
            format!(
                "ledger: config: unknown key \"db.sqlite.pth\" in {path}; did you mean \"db.sqlite.path\"?"
            ),
        ),
        (
            "listen: nowhere",
            format!(
                "ledger: config: invalid listen address \"nowhere\": missing port in address (key listen in {path})"
            ),
        ),
        ("tls: {cert: x}", format!("ledger: config: tls.cert requires tls.key (key tls.cert in {path})")),
        ("tls: {key: x}", format!("ledger: config: tls.key requires tls.cert (key tls.key in {path})")),
        (
            "start_timeout: soon",
            format!(
                "ledger: config: \"soon\" is not a duration; write a number and a unit, such as 500ms, 5s or 1m30s (key start_timeout in {path})"
            ),
        ),
        (
            "db: {type: mysql}",
            format!(
                "ledger: config: unsupported database type \"mysql\" (registered: [sqlite]) (key db.type in {path})"
            ),
        ),
        (
            "hooks: [{name: a}]",
            format!("ledger: config: this version delivers no webhooks; remove hooks (key hooks in {path})"),
        ),
        (
            "http_listen: localhost",
            format!(
                "ledger: config: invalid http_listen address \"localhost\": missing port in address (key http_listen in {path})"
            ),
        ),
        ("tls: 3", format!("ledger: parse config {path}: tls must hold keys and values")),
        ("- 1", format!("ledger: parse config {path}: the file must hold keys and values")),
    ] {
        assert_eq!(load(folder.path(), yaml, &[]).unwrap_err().to_string(), expected, "{yaml}");
    }
    for yaml in [
        "a: [",
        "listen: x:1\nlisten: y:2",
        "allowed_stores: [\"a b\"]",
        "allow_insecure: perhaps",
        "max_message_bytes: 1",
    ] {
        let error = load(folder.path(), yaml, &[]).unwrap_err().to_string();
        assert!(error.contains(&path), "{yaml}: {error}");
    }
    let error = load(folder.path(), "", &[("LEDGER_LISTEN", "x")]).unwrap_err().to_string();
    assert!(error.ends_with("(key listen in environment variable LEDGER_LISTEN)"), "{error}");
}

#[test]
fn a_file_that_everybody_may_write_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let loaded = load(folder.path(), "listen: localhost:1", &[]).unwrap();
    std::fs::set_permissions(&loaded.path, std::fs::Permissions::from_mode(0o666)).unwrap();
    let overrides = Overrides { config: Some(loaded.path), ..Overrides::default() };
    assert!(matches!(Loaded::load(&overrides, false), Err(ConfigError::WritableByOthers { .. })));
}

#[test]
fn a_missing_file_is_an_error_only_if_it_was_named() {
    let folder = tempfile::tempdir().unwrap();
    let named = Overrides { config: Some(folder.path().join("none.yaml")), ..Overrides::default() };
    assert!(matches!(Loaded::load(&named, false), Err(ConfigError::Read { .. })));
    assert!(Loaded::load(&named, true).is_ok());
    assert!(matches!(Loaded::load(&Overrides::default(), false), Err(ConfigError::NoHome)));
}

#[test]
fn an_address_for_others_needs_somebody_at_the_door() {
    let folder = tempfile::tempdir().unwrap();
    let exposed = |yaml: &str, has_keys| load(folder.path(), yaml, &[]).unwrap().check_exposure(has_keys);
    for listen in ["localhost:1", "127.0.0.1:1", "'[::1]:1'", "127.8.9.1:1"] {
        exposed(&format!("listen: {listen}"), false).unwrap();
    }
    for listen in ["0.0.0.0:1", "'[::]:1'", "192.168.1.2:1", "example.org:1", "':1'"] {
        let yaml = format!("listen: {listen}");
        let error = exposed(&yaml, false).unwrap_err().to_string();
        assert!(error.contains("ledger key create") && error.contains("key listen"), "{error}");
        exposed(&yaml, true).unwrap();
        exposed(&format!("{yaml}\napi_key: k"), false).unwrap();
        exposed(&format!("{yaml}\nallow_insecure: true"), false).unwrap();
        exposed(&format!("{yaml}\ntls: {{cert: a, key: b, ca: c}}"), false).unwrap();
        assert!(exposed(&format!("{yaml}\ntls: {{cert: a, key: b}}"), false).is_err());

        let yaml = format!("http_{yaml}");
        let error = exposed(&yaml, false).unwrap_err().to_string();
        assert!(error.contains("ledger key create") && error.contains("key http_listen"), "{error}");
        exposed(&yaml, true).unwrap();
        exposed(&format!("{yaml}\nallow_insecure: true"), false).unwrap();
        exposed(&format!("{yaml}\ntls: {{cert: a, key: b, ca: c}}"), false).unwrap();
        assert!(exposed(&format!("{yaml}\ntls: {{cert: a, key: b, ca: c, http: false}}"), false).is_err());
    }
}
