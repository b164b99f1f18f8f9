use super::{Steps, execute, undo_all};

/// Records the calls, and fails at the chosen step.
#[derive(Default)]
struct Scribe {
    log: Vec<String>,
    fail_apply: Option<u32>,
    fail_undo: Vec<u32>,
}

impl Steps for Scribe {
    type Step = u32;
    type Error = String;

    async fn apply(&mut self, step: u32) -> Result<(), String> {
        if self.fail_apply == Some(step) {
            return Err(format!("apply {step}"));
        }
        self.log.push(format!("+{step}"));
        Ok(())
    }

    async fn undo(&mut self, step: u32) -> Result<(), String> {
        self.log.push(format!("-{step}"));
        if self.fail_undo.contains(&step) { Err(format!("undo {step}")) } else { Ok(()) }
    }
}

#[tokio::test]
async fn applies_in_order() {
    let mut scribe = Scribe::default();
    execute(&mut scribe, &[1, 2, 3]).await.unwrap();
    assert_eq!(scribe.log, ["+1", "+2", "+3"]);
}

#[tokio::test]
async fn undoes_in_reverse_what_was_done_before_the_failure() {
    for failing in 1..=3 {
        let mut scribe = Scribe { fail_apply: Some(failing), ..Scribe::default() };
        let error = execute(&mut scribe, &[1, 2, 3]).await.unwrap_err();
        assert_eq!(error, format!("apply {failing}"));
        let done = 1..failing;
        let expected: Vec<_> = done
            .clone()
            .map(|step| format!("+{step}"))
            .chain(done.rev().map(|step| format!("-{step}")))
            .collect();
        assert_eq!(scribe.log, expected);
    }
}

#[tokio::test]
async fn an_undo_that_fails_does_not_stop_the_others() {
    let mut scribe = Scribe { fail_apply: Some(4), fail_undo: vec![2], ..Scribe::default() };
    assert_eq!(execute(&mut scribe, &[1, 2, 3, 4]).await.unwrap_err(), "apply 4");
    assert_eq!(scribe.log, ["+1", "+2", "+3", "-3", "-2", "-1"]);
}

#[tokio::test]
async fn teardown_collects_errors_and_goes_on() {
    let mut scribe = Scribe { fail_undo: vec![1, 3], ..Scribe::default() };
    assert_eq!(undo_all(&mut scribe, &[1, 2, 3]).await, ["undo 3", "undo 1"]);
    assert_eq!(scribe.log, ["-3", "-2", "-1"]);
}
