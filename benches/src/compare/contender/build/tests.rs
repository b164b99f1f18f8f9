use serde_json::json;

use super::{Build, has_option};

fn build(args: &str) -> Build {
    let args = args.split_whitespace().map(str::to_owned).collect();
    Build { name: "a".to_owned(), program: "true".into(), args, is_main: false, rounds_max: 0 }
}

#[test]
fn it_must_be_on_where_it_was_asked_for() {
    let wanted = build("--idle adaptive --cut-through");
    let on = json!({ "cut_through": { "state": "on", "reason": null } });
    let off = json!({ "cut_through": { "state": "off", "reason": "no BTF" } });
    wanted.ensure_on(&on).expect("on");
    let error = wanted.ensure_on(&off).expect_err("off").to_string();
    assert_eq!(error, "cut-through is off: no BTF");
    wanted.ensure_on(&json!({})).expect_err("a status without it");
    build("--cut-through=all").ensure_on(&off).expect_err("off");
    for status in [&on, &off, &json!({})] {
        build("--idle spin").ensure_on(status).expect("not asked for");
    }
}

#[test]
fn a_program_must_know_the_option() {
    let error = build("--cut-through").ensure_known().expect_err("true(1) has no options");
    assert_eq!(error.to_string(), "true knows no --cut-through");
    build("--idle spin").ensure_known().expect("not asked for");
    assert!(has_option("      --cut-through[=<NETWORK>]\n          Joins sockets"));
    assert!(!has_option("      --cut-through-log <FILE>"));
}
