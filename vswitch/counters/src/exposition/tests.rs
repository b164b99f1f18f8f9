use super::*;

#[test]
fn families_labels_and_escapes() {
    let mut text = Exposition::default();
    text.family("vswitch_a_total", Kind::Counter, "A \"b\" \\ c\nd.");
    text.sample("vswitch_a_total", &[("port", "a\\b\"c\nd"), ("network", "br0")], 7);
    text.family("vswitch_b", Kind::Gauge, "B.");
    text.sample("vswitch_b", &[], u64::MAX);
    assert_eq!(
        text.finish(),
        r#"# HELP vswitch_a_total A "b" \\ c\nd.
# TYPE vswitch_a_total counter
vswitch_a_total{port="a\\b\"c\nd",network="br0"} 7
# HELP vswitch_b B.
# TYPE vswitch_b gauge
vswitch_b 18446744073709551615
"#
    );
}
