//! Files for reverse proxies: nginx itself takes them and serves through them.

use crate::support::*;

#[test]
fn nginx_takes_the_files_for_any_name_and_serves_through_them() {
    let yard = Yard::new();
    yard.database("it's \"odd\"; } $x.db", "sqlpage_files");
    yard.ok(&["start"]);
    let nginx = Nginx::start(&yard, &[]);
    assert!(nginx.ask("/apps/sqlpage/apps/dashboard/", &[]).contains("served"));
    assert!(nginx.ask("/apps/sqlpage/apps/dashboard", &[]).contains("301"));
    assert!(nginx.ask("/apps/sqlpage/it's%20%22odd%22;%20%7D%20$x/", &[]).contains("served"));
    assert!(!nginx.ask("/apps/sqlpage/apps/dashboardish/", &[]).contains("served"), "only the prefix itself");
    drop(nginx);
    yard.ok(&["kill"]);
    assert!(
        !yard.ok(&["proxy-conf", "--include-dead", "--type", "traefik"]).is_empty(),
        "also when nothing runs"
    );
}

#[test]
fn the_type_says_what_is_printed_and_services_that_do_not_run_are_left_out() {
    let yard = Yard::new();
    yard.ok(&["start"]);
    let traefik = yard.ok(&["proxy-conf", "--type", "traefik"]);
    assert!(traefik.contains("routers:") && !traefik.contains("server {"), "{traefik}");
    yard.ok(&["stop", "dashboard.db"]);
    assert!(!yard.ok(&["proxy-conf"]).contains("dashboard"));
    assert!(yard.ok(&["proxy-conf", "--include-dead"]).contains("dashboard"));
    let elsewhere = yard.ok(&["proxy-conf", "--ledger-home", "nowhere", "--type", "traefik"]);
    assert!(!elsewhere.contains("audit"), "another ledger home has other services: {elsewhere}");
}

#[test]
fn a_context_that_cannot_be_read_keeps_no_other_service_from_the_proxy() {
    let yard = Yard::new();
    yard.ok(&["start"]);
    let broken = yard.context("apps/dashboard.db")["paths"]["context"].as_str().unwrap().to_owned();
    let whole = std::fs::read(&broken).unwrap();
    std::fs::write(&broken, "{\"pid\":").unwrap();
    let output =
        yard.run(&["proxy-conf", "--nginx-out", "nginx", "--traefik-out", "traefik", "--type", "both"]);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("dashboard.db.context.json"));
    let names = |folder: &str| {
        let entries = std::fs::read_dir(yard.at(folder)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>().join(" ")
    };
    assert!(names("nginx").contains("audit") && names("traefik").contains("audit"));
    std::fs::write(&broken, whole).unwrap();
    // Files of services that are gone go, those of others stay.
    yard.ok(&["proxy-conf", "--nginx-out", "nginx"]);
    assert!(names("nginx").contains("dashboard"));
    std::fs::write(yard.at("nginx/mine.conf"), "").unwrap();
    yard.ok(&["stop", "dashboard.db"]);
    yard.ok(&["proxy-conf", "--nginx-out", "nginx"]);
    assert!(!names("nginx").contains("dashboard") && names("nginx").contains("audit"), "{}", names("nginx"));
    assert!(names("nginx").contains("mine.conf"));
}
