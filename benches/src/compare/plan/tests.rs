use clap::Parser as _;

use super::{refusal, step_seconds, steps};
use crate::workload::Times;
use crate::{contender, workload};

#[test]
fn each_round_begins_with_another_contender() {
    let steps = steps(3, &crate::registry::workloads(), 3);
    let begin = |round: usize| {
        steps.iter().find(|step| step.round == round && step.ports == 2).map(|step| step.contender)
    };
    assert_eq!([1, 2, 3].map(begin), [Some(0), Some(1), Some(2)]);
}

#[test]
fn everything_is_measured_as_often_as_it_should() {
    let workloads = crate::registry::workloads();
    let steps = steps(4, &workloads, 5);
    for (number, workload) in workloads.iter().enumerate() {
        for contender in 0..4 {
            let of = steps.iter().filter(|s| s.contender == contender);
            let times = of.filter(|s| s.workloads.contains(&number)).count();
            let wanted = if workload.needs().once { 1 } else { workload.needs().rounds_max.min(5) };
            assert_eq!(times, wanted, "{}", workload.key());
        }
    }
    let ports = |n: usize| workloads[n].needs().ports;
    assert!(steps.iter().all(|step| step.workloads.iter().all(|n| ports(*n) == step.ports)));
}

#[test]
fn the_budgets_hold() {
    let measure = crate::cli::Cli::try_parse_from(["vswitch-bench"]).expect("parsed").measure;
    let builds = measure.builds(std::path::Path::new("/there"));
    let contenders = crate::registry::contenders(&builds);
    let mut workloads = crate::registry::workloads();
    workloads.retain(|w| !w.needs().by_name_only);
    let seconds = |rounds, quick, chosen: &[&str], workloads: &[Box<dyn workload::Workload>]| {
        let times = Times { load: 2, idle: if quick { 4 } else { 10 } };
        let mut seconds = 0.0;
        for mut step in steps(contenders.len(), workloads, rounds) {
            let contender = contenders[step.contender].as_ref();
            step.workloads.retain(|n| refusal(contender, workloads[*n].as_ref(), quick).is_none());
            if chosen.is_empty() && step.round > contender.rounds_max() {
                continue;
            }
            let is_chosen = chosen.is_empty() || chosen.contains(&contender.name());
            if is_chosen && !step.workloads.is_empty() {
                seconds += step_seconds(&step, contender, workloads, times);
            }
        }
        seconds
    };
    let whole = seconds(5, false, &[], &workloads);
    assert!(whole < 39.0 * 60.0, "{whole} s");
    let mut quick = crate::registry::workloads();
    quick.retain(|w| crate::registry::QUICK.contains(&w.key()));
    assert!(seconds(1, true, &crate::cli::QUICK_CONTENDERS, &quick) < 170.0);
    for family in ["scale", "attack"] {
        let mut named = crate::registry::workloads();
        named.retain(|w| w.needs().family == family);
        assert!(seconds(5, false, &["kernel-bridge", "vswitch"], &named) < 20.0 * 60.0, "{family}");
    }
    let mut busy = crate::registry::workloads();
    busy.retain(|w| w.needs().family.starts_with("busy"));
    let usual = ["docker0", "kernel-bridge", "host", "vswitch"];
    let busy = seconds(5, false, &usual, &busy);
    assert!(busy < 25.0 * 60.0, "{busy} s");
    let mut cut_through = crate::registry::workloads();
    cut_through.retain(|w| crate::registry::CUT_THROUGH_ROWS.contains(&w.key()));
    let compared = ["docker0", "kernel-bridge", "vswitch", "vswitch-cut-through"];
    let cut_through = seconds(5, false, &compared, &cut_through);
    assert!(cut_through < 19.0 * 60.0, "{cut_through} s");
}

#[test]
fn scale_runs_where_two_can_be_up_side_by_side() {
    let build = contender::Build {
        name: "vswitch".to_owned(),
        program: "vswitch".into(),
        args: Vec::new(),
        is_main: true,
        rounds_max: usize::MAX,
    };
    let workloads = crate::registry::workloads();
    let scale = workloads.iter().find(|w| w.key() == "scale10").expect("a workload");
    let mut taking = crate::registry::contenders(&[std::sync::Arc::new(build)]);
    taking.retain(|contender| refusal(contender.as_ref(), scale.as_ref(), false).is_none());
    let names: Vec<_> = taking.iter().map(|contender| contender.name()).collect();
    assert_eq!(names, ["kernel-bridge", "vswitch"]);
}
