use std::path::Path;

use clap::{CommandFactory as _, Parser as _};

use super::{Cli, Variant};

fn measure(words: &str) -> super::Measure {
    Cli::try_parse_from(words.split(' ')).expect("parsed").measure
}

fn names(words: &str) -> Vec<String> {
    let contenders = measure(words).contenders(Path::new("/there")).expect("known names");
    contenders.iter().map(|c| c.name().to_owned()).collect()
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn variants_are_programs_options_or_both() {
    let variant = Variant::parse("old=/tmp/vswitch --idle spin").expect("parsed");
    assert_eq!(variant.program.as_deref(), Some(Path::new("/tmp/vswitch")));
    assert_eq!(variant.args, ["--idle", "spin"]);
    assert_eq!(Variant::parse("spin=--idle spin").expect("parsed").program, None);
    assert!(Variant::parse("spin").is_err());
    assert!(Variant::parse("=--idle spin").is_err());
}

#[test]
fn all_take_part_unless_some_are_named() {
    let all = names("vswitch-bench");
    assert_eq!(all.len(), 9, "{all:?}");
    for named_only in ["docker-vswitch", "vswitch-cut-through"] {
        assert!(!all.iter().any(|name| name == named_only), "{all:?}");
    }
    assert_eq!(names("vswitch-bench --contenders vde,docker0"), ["docker0", "vde"]);
    assert_eq!(names("vswitch-bench --quick"), ["docker0", "kernel-bridge", "ovs-tso", "vswitch"]);
    let words = "vswitch-bench --quick --variant a=--workers --variant b=./b";
    assert_eq!(names(words), ["docker0", "kernel-bridge", "ovs-tso", "a", "b"]);
    assert_eq!(names("vswitch-bench --contenders vde --variant a=./a"), ["vde", "a"]);
}

#[test]
fn an_unknown_name_is_an_error_that_lists_the_known() {
    let error = measure("vswitch-bench --only tcp1,tcp3").workloads().err().expect("unknown");
    assert!(error.contains("tcp3") && error.contains("rtt-tcp"), "{error}");
    let unknown = measure("vswitch-bench --contenders docker").contenders(Path::new("/there"));
    let error = unknown.err().expect("unknown");
    assert!(error.contains("docker0"), "{error}");
}

#[test]
fn the_switch_beside_this_program_is_the_usual_one() {
    let builds = measure("vswitch-bench").builds(Path::new("/there"));
    assert_eq!(builds[0].program, Path::new("/there/vswitch"));
    assert_eq!(builds[1].args, ["--idle", "spin"]);
}

#[test]
fn long_families_run_only_where_they_are_named() {
    let keys = |words: &str| -> Vec<String> {
        let workloads = measure(words).workloads().expect("known names");
        workloads.iter().map(|w| w.key().to_owned()).collect()
    };
    let usual = keys("vswitch-bench");
    assert!(usual.iter().any(|key| key == "idle200"), "{usual:?}");
    for family in ["busy", "scale", "attack"] {
        assert!(!usual.iter().any(|key| key.contains(family)), "{usual:?}");
    }
    let scale = ["scale2", "scale10", "scale100", "scale1000", "names10000", "networks500"];
    assert_eq!(keys("vswitch-bench --only scale"), scale);
    assert_eq!(keys("vswitch-bench --only attack,tcp1").len(), 6);
    assert_eq!(keys("vswitch-bench --only busy2-http"), ["busy2-http"]);
    assert_eq!(keys("vswitch-bench --only attack-arp"), ["attack-arp"]);
}

#[test]
fn cut_through_is_measured_by_rows_of_other_families() {
    let keys = |words: &str| -> Vec<String> {
        let workloads = measure(words).workloads().expect("known names");
        workloads.iter().map(|w| w.key().to_owned()).collect()
    };
    assert_eq!(keys("vswitch-bench --only cut-through"), crate::registry::CUT_THROUGH_ROWS);
    let more = keys("vswitch-bench --only udp64,cut-through");
    assert_eq!(more.len(), crate::registry::CUT_THROUGH_ROWS.len() + 1);
    let words = "vswitch-bench --contenders vswitch-cut-through,vswitch,docker0";
    assert_eq!(names(words), ["docker0", "vswitch", "vswitch-cut-through"]);
    let builds = measure(words).builds(Path::new("/there"));
    let build = builds.iter().find(|build| build.name == "vswitch-cut-through").expect("a build");
    assert_eq!(build.args, super::CUT_THROUGH_ARGS);
}
