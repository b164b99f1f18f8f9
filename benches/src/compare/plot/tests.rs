use super::all;
use crate::table::tests::outcome;

#[test]
fn one_file_for_each_figure_with_values() {
    let mut outcome = outcome();
    for metric in &mut outcome.metrics {
        metric.is_main = true;
    }
    let dir = tempfile::tempdir().expect("folder");
    let files = all(&outcome, dir.path()).expect("drawn");
    let names: Vec<_> = files.iter().flat_map(|file| file.file_name()).collect();
    assert_eq!(names, ["tcp1.gbps.svg", "rtt-tcp.p50_us.svg"]);
    let svg = std::fs::read_to_string(&files[0]).expect("text");
    assert!(svg.starts_with("<svg"), "{svg}");
    for word in ["docker0", "vswitch", "TCP 1 stream (more is better)", "16.0", "Gb/s"] {
        assert!(svg.contains(word), "no {word} in {svg}");
    }
}
