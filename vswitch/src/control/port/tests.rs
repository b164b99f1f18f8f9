use super::steps::ATTACH;
use super::{ConfiguredBy, LOST, Step, attach_plan};

#[test]
fn an_attach_has_all_steps_and_a_stored_one_no_save() {
    assert_eq!(attach_plan(false, ConfiguredBy::Switch), ATTACH);
    let stored = attach_plan(true, ConfiguredBy::Switch);
    assert_eq!(stored.len(), ATTACH.len() - 2);
    assert!(!stored.contains(&Step::Save) && !stored.contains(&Step::AwaitSave));
}

#[test]
fn a_runtime_configures_the_namespace_itself() {
    let plan = attach_plan(false, ConfiguredBy::Runtime);
    let skipped: Vec<_> = ATTACH.into_iter().filter(|step| !plan.contains(step)).collect();
    assert_eq!(skipped, [Step::Locate, Step::Configure, Step::Verify]);
    assert!(LOST.iter().all(|step| plan.contains(step)));
}
