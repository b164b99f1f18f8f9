//! The datapath allocates nothing for a frame.

use fastpath::PortIndex;
use vswitch_pipeline::names::{filled, query};
use vswitch_pipeline::overlay::Direction;
use vswitch_pipeline::{Load, Pipeline};

#[test]
fn a_thousand_rounds_allocate_nothing() {
    nothing_is_allocated(Load::L2);
}

#[test]
fn guards_allocate_nothing() {
    nothing_is_allocated(Load::GUARDED);
}

#[test]
fn translation_allocates_nothing() {
    let mut pipeline = Pipeline::routed(1_000);
    let before = pipeline.translated();
    nothing_is_allocated_by(&mut pipeline);
    assert!(pipeline.translated() - before > 100_000, "it was translation");
}

#[test]
fn tunnels_allocate_nothing() {
    for direction in [Direction::Encapsulated, Direction::Decapsulated] {
        let mut pipeline = Pipeline::overlay(direction, 1_000);
        let (tx, rx) = pipeline.tunnelled();
        nothing_is_allocated_by(&mut pipeline);
        let (tx, rx) = (pipeline.tunnelled().0 - tx, pipeline.tunnelled().1 - rx);
        let crossed = if direction == Direction::Encapsulated { tx } else { rx };
        assert!(crossed > 30_000, "frames crossed the tunnel port: {crossed}");
    }
}

#[test]
fn an_answer_to_a_query_for_a_name_allocates_nothing() {
    let names = filled(1_000);
    let [known, unknown] = ["container-7", "nobody"].map(query);
    let mut answer = [0; 512];
    let counted = allocation_counter::measure(|| {
        for _ in 0..1_000 {
            assert!(names.answer(PortIndex(1), &known, &mut answer).is_some());
            assert!(names.answer(PortIndex(1), &unknown, &mut answer).is_none());
        }
    });
    assert_eq!(counted.count_total, 0);
}

fn nothing_is_allocated(load: Load) {
    nothing_is_allocated_by(&mut Pipeline::new(load));
}

fn nothing_is_allocated_by(pipeline: &mut Pipeline) {
    pipeline.round();
    let copies = pipeline.flood_copies();
    let mut frames = 0;
    let counted = allocation_counter::measure(|| {
        for _ in 0..1_000 {
            frames += pipeline.round();
        }
    });
    assert!(frames > 30_000, "there was something to count over: {frames} frames");
    assert_eq!(pipeline.flood_copies(), copies, "all addresses were known");
    assert_eq!(counted.count_total, 0, "allocations in {frames} frames");
}
