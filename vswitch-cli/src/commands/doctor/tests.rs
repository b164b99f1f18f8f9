use super::*;

#[test]
fn rows_say_what_to_do() {
    let rows =
        [Row::ok("kernel", "Linux 6.18.5"), Row::fail("tun", "cannot make a TAP", "run as root")];
    assert_eq!(
        crate::output::painted(&render(&rows), false),
        "\
CHECK   STATUS  FOUND              WHAT TO DO
kernel  ok      Linux 6.18.5
tun     FAIL    cannot make a TAP  run as root
"
    );
}

#[test]
fn programs_get_stable_keys() {
    let rows = serde_json::to_value([Row::ok("kernel", "x"), Row::warn("mtu", "y", "z")]).unwrap();
    assert_eq!(
        rows,
        serde_json::json!([
            { "check": "kernel", "status": "ok", "detail": "x", "advice": null },
            { "check": "mtu", "status": "warn", "detail": "y", "advice": "z" },
        ])
    );
}
