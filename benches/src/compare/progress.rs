//! A bar with the time that is left; a line for each step where there is no terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::plan::Step;

const TEMPLATE: &str = "{bar:28} {percent:>3} %  {elapsed} of about {total}, {left} left  {msg}";

/// How far the run is, by the time that its steps are expected to take.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// For steps of so many seconds each.
    pub(crate) fn new(seconds: &[f64]) -> Self {
        let total: f64 = seconds.iter().sum();
        eprintln!("{} turns, about {}", seconds.len(), minutes(total));
        let bar = ProgressBar::with_draw_target(
            Some(millis(total)),
            ProgressDrawTarget::stderr_with_hz(2),
        );
        bar.set_style(style(total));
        bar.enable_steady_tick(Duration::from_secs(1));
        Self { bar }
    }

    pub(crate) fn begin(&self, step: &Step, contender: &str, rounds: usize) {
        let text = if step.ports > 2 {
            format!("{contender}, {} ports", step.ports)
        } else {
            format!("round {}/{rounds}: {contender}", step.round)
        };
        if self.bar.is_hidden() {
            eprintln!(
                "{:>3} %  {text}",
                self.bar.position() * 100 / self.bar.length().unwrap_or(1).max(1)
            );
        }
        self.bar.set_prefix(text.clone());
        self.bar.set_message(text);
    }

    pub(crate) fn workload(&self, key: &str) {
        self.bar.set_message(format!("{}, {key}", self.bar.prefix()));
    }

    /// A step is done that was expected to take so long, and took so long.
    pub(crate) fn done(&self, expected_s: f64, took_s: f64) {
        if self.bar.is_hidden() {
            eprintln!("       took {took_s:.1} s, expected {expected_s:.1}");
        }
        self.bar.inc(millis(expected_s));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(total: f64) -> ProgressStyle {
    let style =
        ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
    style
        .with_key("total", move |_: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = out.write_str(&minutes(total));
        })
        .with_key("left", |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = out.write_str(&minutes(left_seconds(
                state.pos(),
                state.len().unwrap_or(0),
                state.elapsed().as_secs_f64(),
            )));
        })
}

/// By the pace so far, once there is one; the steps are in milliseconds of the estimate.
fn left_seconds(done: u64, all: u64, elapsed: f64) -> f64 {
    let left = all.saturating_sub(done) as f64;
    let pace = if done == 0 { 1e-3 } else { elapsed / done as f64 };
    left * pace
}

fn minutes(seconds: f64) -> String {
    format!("{}:{:02} min", seconds as u64 / 60, seconds as u64 % 60)
}

fn millis(seconds: f64) -> u64 {
    (seconds * 1e3) as u64
}

#[cfg(test)]
mod tests;
