//! Who may ask.

use std::os::unix::fs::PermissionsExt;

use crate::support::*;

const KEY: &str = "correct-horse-battery-staple";

fn key_file(yard: &Yard) -> String {
    let path = yard.at("key");
    std::fs::write(&path, format!("{KEY}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_name_that_another_site_could_own_is_not_answered() {
    let yard = yard();
    let web = Web::start(&yard, &[]);
    let status = |path: &str, host: &str| web.ask(&format!("GET {path} HTTP/1.1\nHost: {host}")).status;
    for path in ["/.truth-yard/ui/", "/.truth-yard/api/tagged-processes.json", &format!("{KEPT}/headers")] {
        assert_eq!(status(path, &format!("evil.example:{}", web.port)), 421, "{path}");
        assert_eq!(status(path, &format!("127.0.0.1:{}", web.port)), 200, "{path}");
        assert_eq!(status(path, "localhost"), 200, "{path}");
    }
    assert_eq!(web.ask("GET http://evil.example/ HTTP/1.1").status, 400);
}

#[test]
fn everything_needs_the_key_and_services_never_see_it() {
    let yard = yard();
    let web = Web::start(&yard, &["--key-file", &key_file(&yard)]);
    for path in [
        "/",
        "/.truth-yard/ui/",
        "/.truth-yard/api/events",
        "/.truth-yard/ledger.d/",
        &format!("{KEPT}/headers"),
        "/x",
    ] {
        let answer = web.get(path);
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.header("www-authenticate").is_some());
        let wrong = web.ask(&format!("GET {path} HTTP/1.1\nAuthorization: Bearer {KEY}x"));
        assert_eq!(wrong.status, 401, "{path}");
    }
    let bearer = format!("Authorization: Bearer {KEY}");
    assert_eq!(web.ask(&format!("GET /.truth-yard/api/reconcile.json HTTP/1.1\n{bearer}")).status, 200);
    let seen = web.ask(&format!("GET {KEPT}/headers HTTP/1.1\n{bearer}\nHost: any.example"));
    assert_eq!(seen.status, 200, "the key makes up for an unknown name");
    assert!(!seen.text().contains(KEY), "{}", seen.text());

    let form = web.ask("GET /.truth-yard/ui/ HTTP/1.1\nAccept: text/html");
    assert_eq!(form.status, 401);
    assert!(form.text().contains("type=\"password\""), "{}", form.text());
    let login = |body: &str, more: &str| {
        use std::io::Write;
        let mut stream = web.say(&format!(
            "POST /.truth-yard/login HTTP/1.1\nConnection: close\nContent-Length: {}{more}",
            body.len()
        ));
        stream.get_mut().write_all(body.as_bytes()).unwrap();
        Answer::read(&mut stream, false)
    };
    assert_eq!(login("key=wrong&next=/", "").status, 401);
    let fine = format!("key={KEY}&next=%2F.truth-yard%2Fledger.d%2F");
    assert_eq!(login(&fine, "\nOrigin: http://evil.example").status, 403);
    assert_eq!(login(&"x".repeat(9000), "").status, 413);
    let opened = login(&fine, "\nOrigin: http://localhost\nSec-Fetch-Site: same-origin");
    assert_eq!((opened.status, opened.header("location")), (303, Some("/.truth-yard/ledger.d/")));
    let cookie = opened.header("set-cookie").unwrap();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict") && !cookie.contains(KEY), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    assert_eq!(web.ask(&format!("GET /.truth-yard/ui/ HTTP/1.1\nCookie: {pair}")).status, 200);
    let seen = web.ask(&format!("GET {KEPT}/headers HTTP/1.1\nCookie: mine=1; {pair}"));
    assert!(seen.text().contains("mine=1") && !seen.text().contains(pair), "{}", seen.text());
    for elsewhere in ["https://evil.example/", "//evil.example/", "/\\evil.example", "/%09/evil.example"] {
        let opened = login(&format!("key={KEY}&next={elsewhere}"), "");
        assert_eq!(opened.header("location"), Some("/"), "{elsewhere}");
    }
}

#[test]
fn the_network_is_not_let_in_without_a_key() {
    let yard = Yard::empty();
    let refused = yard.run(&["web", "--host", "0.0.0.0", "--port", "0"]);
    assert_eq!(refused.status.code(), Some(1));
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("--key-file") && text.contains("--allow-insecure"), "{text}");
    Web::start(&yard, &["--host", "0.0.0.0", "--key-file", &key_file(&yard)]).interrupt();
    Web::start(&yard, &["--host", "0.0.0.0", "--allow-insecure"]).interrupt();
    std::fs::set_permissions(yard.at("key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = yard.run(&["web", "--port", "0", "--key-file", "key"]);
    assert!(String::from_utf8(open.stderr).unwrap().contains("chmod 600"));
    let weak = yard.command(&["web", "--port", "0"]).env("LEDGER_YARD_KEY", "short").output().unwrap();
    assert!(String::from_utf8(weak.stderr).unwrap().contains("openssl rand"));
}

#[test]
fn a_port_that_is_taken_is_told_with_what_to_do() {
    let yard = Yard::empty();
    let web = Web::start(&yard, &[]);
    let output = yard.run(&["web", "--port", &web.port.to_string()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("another --port"));
}
