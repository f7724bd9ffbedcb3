//! The description of the gateway: valid, complete, and true.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use ledger_server::http::ROUTES;

use crate::curl::Served;

/// What the tests install, to the version.
const VALIDATOR: &str = "openapi-spec-validator==0.7.2";

/// A Python that has the validator: in a virtual environment of the build folder, made if it is missing.
fn python() -> PathBuf {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openapi-venv");
    let python = venv.join("bin/python");
    let has_it = |python: &Path| {
        let check = Command::new(python).args(["-c", "import openapi_spec_validator"]).output();
        check.is_ok_and(|output| output.status.success())
    };
    if !has_it(&python) {
        let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv).status();
        let made = made.expect("python3 is needed; install it with: apt-get install -y python3-venv");
        assert!(made.success(), "python3 -m venv failed; install it with: apt-get install -y python3-venv");
        let pip =
            Command::new(&python).args(["-m", "pip", "install", "--quiet", VALIDATOR]).status().unwrap();
        assert!(pip.success(), "pip install {VALIDATOR} failed: is the package index reachable?");
    }
    python
}

#[tokio::test]
async fn the_document_is_valid_by_the_validator_of_the_standard() {
    let served = Served::start("").await;
    let document = served.bare("GET", "/openapi.json").run().await;
    assert_eq!((document.status, document.header("content-type")), (200, Some("application/json")));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("openapi.json");
    let validate = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let python = python();
        let validator =
            Command::new(python).args(["-m", "openapi_spec_validator"]).arg(&file).output().unwrap();
        (validator.status.success(), String::from_utf8_lossy(&validator.stdout).into_owned())
    };
    let (is_valid, report) = validate(&document.body);
    assert!(is_valid, "{report}");
    // It would have noticed.
    let (is_valid, report) = validate(&document.body.replace("\"in\":\"path\",", ""));
    assert!(!is_valid, "{report}");
}

#[tokio::test]
async fn paths_and_methods_of_the_document_are_those_that_the_daemon_answers() {
    let served = Served::start("").await;
    let document = served.bare("GET", "/openapi.json").run().await.json();
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        described
            .extend(methods.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())));
    }
    let routes: BTreeSet<_> =
        ROUTES.iter().map(|route| (route.method.to_string(), route.template.to_owned())).collect();
    assert_eq!(described, routes);

    for path in document["paths"].as_object().unwrap().keys() {
        let filled = path.replace("{stream}", "s").replace("{name}", "s").replace("{id}", "1");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] {
            let mut curl = served.curl(method, &filled).with(&["--max-time", "1"]);
            if method == "HEAD" {
                curl = curl.with(&["--head"]);
            }
            let answer = curl.partial().await;
            let is_described = described.contains(&(method.to_owned(), path.clone()));
            assert_eq!(answer.status != 501, is_described, "{method} {path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn answers_have_exactly_the_fields_that_the_document_says() {
    let served = Served::start("").await;
    served.append("s", &["a"]).await;
    let document = served.bare("GET", "/openapi.json").run().await.json();
    let fields = |schema: &str| -> BTreeSet<String> {
        let schema = &document["components"]["schemas"][schema];
        schema["properties"].as_object().unwrap().keys().cloned().collect()
    };
    let names = |value: &serde_json::Value| -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    let page = served.curl("GET", "/v1/streams/s/entries").run().await.ok();
    assert_eq!(names(&page), fields("ReadResponse"));
    assert_eq!(names(&page["entries"][0]), fields("Entry"));
    let stat = served.curl("GET", "/v1/streams/s:stat").run().await.ok();
    assert_eq!(names(&stat), fields("StatResponse"));
    let list = served.curl("GET", "/v1/streams").run().await.ok();
    assert_eq!(names(&list), fields("ListStreamIDsResponse"));
    let append = served.curl("POST", "/v1/streams/s/entries").body("{}").run().await.ok();
    assert_eq!(names(&append), fields("AppendResponse"));
    let error = served.curl("POST", "/v1/streams/s/entries").body(r#"{"expectEmpty":true,"entries":[{}]}"#);
    assert_eq!(names(&error.run().await.json()), fields("Error"));
}
