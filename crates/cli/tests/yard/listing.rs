//! What is printed: lists, logs, files for proxies.

use std::process::Command;

use crate::support::*;

#[test]
fn one_odd_file_hides_no_other() {
    let yard = Yard::new();
    yard.ok(&["start"]);
    let session = std::fs::read_to_string(yard.at("ledger.d/.current-session")).unwrap();
    let folder = yard.at("ledger.d").join(session.trim());
    std::fs::write(folder.join("odd.db.context.json"), "{\"pid\": 1}").unwrap();
    std::fs::write(folder.join("half.db.context.json"), "{\"pid\":").unwrap();
    let output = yard.run(&["ls"]);
    assert!(output.status.success());
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(out.contains("dashboard.db") && out.contains("audit.sqlite.db"), "{out}");
    assert!(err.contains("half.db.context.json"), "{err}");
}

#[test]
fn logs_are_followed_from_several_services() {
    let yard = Yard::new();
    yard.ok(&["start"]);
    let out = std::fs::File::create(yard.at("logs.out")).unwrap();
    let mut logs = yard.command(&["logs", "-f"]).stdout(out).spawn().unwrap();
    let read = || std::fs::read_to_string(yard.at("logs.out")).unwrap();
    until("what is there", || {
        read().contains("dashboard.db err | started") && read().contains("audit.sqlite.db err | started")
    });
    get(&yard.context("apps/dashboard.db"));
    until("what comes", || read().contains("dashboard.db out | \"GET / HTTP/1.0\" 200"));
    logs.kill().unwrap();
    logs.wait().unwrap();
    assert_eq!(yard.ok(&["logs", "dashboard.db", "--stderr", "-n", "1"]), "started successfully\n");
}

#[test]
fn nginx_takes_the_files_for_any_name_and_serves_through_them() {
    if Command::new("nginx").arg("-v").output().is_err() {
        let install = "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light";
        let installed = Command::new("sh").args(["-c", install]).output().unwrap();
        assert!(
            installed.status.success(),
            "this test needs nginx: apt-get install nginx-light; {installed:?}"
        );
    }
    let yard = Yard::new();
    yard.database("it's \"odd\"; } $x.db", "sqlpage_files");
    yard.ok(&["start"]);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("127.0.0.1:{port}");
    yard.ok(&["proxy-conf", "--nginx-out", "nginx", "--listen", &listen]);
    let config = format!(
        "daemon off; pid {0}/nginx.pid; error_log {0}/error.log;\nevents {{}}\nhttp {{ access_log off; \
         client_body_temp_path {0}/t; proxy_temp_path {0}/t; fastcgi_temp_path {0}/t; uwsgi_temp_path {0}/t; \
         scgi_temp_path {0}/t; include {0}/nginx/*.conf; }}\n",
        yard.at("").display().to_string().trim_end_matches('/')
    );
    std::fs::write(yard.at("nginx.conf"), config).unwrap();
    let nginx = || {
        let mut nginx = Command::new("nginx");
        nginx.arg("-c").arg(yard.at("nginx.conf")).arg("-e").arg(yard.at("error.log"));
        nginx
    };
    let tested = nginx().arg("-t").output().unwrap();
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
    assert!(!String::from_utf8_lossy(&tested.stderr).contains("conflicting"), "{tested:?}");
    let mut server = nginx().spawn().unwrap();
    let ask = |path: &str| {
        let output =
            Command::new("curl").args(["-s", "-i", &format!("http://{listen}{path}")]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    until("nginx serves", || ask("/apps/sqlpage/apps/dashboard/").contains("served"));
    assert!(ask("/apps/sqlpage/apps/dashboard").contains("301"));
    assert!(ask("/apps/sqlpage/it's%20%22odd%22;%20%7D%20$x/").contains("served"));
    assert!(!ask("/apps/sqlpage/apps/dashboardish/").contains("served"), "only the prefix itself");
    server.kill().unwrap();
    server.wait().unwrap();
    yard.ok(&["kill"]);
    assert!(
        !yard.ok(&["proxy-conf", "--include-dead", "--type", "traefik"]).is_empty(),
        "also when nothing runs"
    );
}
