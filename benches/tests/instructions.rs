//! Instructions per frame of the pipeline, counted by callgrind: the same on every machine of one
//! architecture, whatever else it does. Builds the example `pipeline` in release mode and runs it under
//! `valgrind` (Debian package `valgrind`; `make test` installs it).

use std::path::PathBuf;
use std::process::Command;

/// Layer 2 in memory, 64-byte frames, 1,000 MACs, rooms and memory ports together. Measured on
/// x86-64: see docs/performance.md.
const L2_CEILING: f64 = 660.0;

fn built() -> PathBuf {
    let cargo = std::env::var_os("CARGO").expect("cargo runs the tests");
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--release", "-p", "vswitch-benches", "--example", "pipeline"])
        .args(["--message-format", "json"])
        .output()
        .expect("cargo starts");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let messages = String::from_utf8_lossy(&built.stdout);
    let executable = messages.lines().rev().find_map(|line| {
        let rest = line.split_once(r#""executable":""#)?.1;
        Some(rest.split_once('"')?.0.to_owned())
    });
    executable.expect("cargo tells where the example is").into()
}

/// Instructions that the program runs, and the frames that it moves.
fn counted(program: &PathBuf, rounds: u32) -> (f64, f64) {
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .arg(rounds.to_string())
        .output()
        .expect("valgrind starts: install it (apt install valgrind)");
    let report = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{report}");
    let collected = report.lines().find_map(|line| line.split_once("Collected : "));
    let instructions = collected.and_then(|(_, count)| count.trim().parse().ok());
    let output = String::from_utf8_lossy(&run.stdout);
    let frames = output.split_whitespace().next().and_then(|count| count.parse().ok());
    (instructions.expect("a count"), frames.expect("frames"))
}

#[test]
fn the_layer_2_pipeline_keeps_below_its_ceiling() {
    let program = built();
    // What start-up and learning cost cancels out between a short run and a longer one.
    let (short, long) = (counted(&program, 200), counted(&program, 1_200));
    let per_frame = (long.0 - short.0) / (long.1 - short.1);
    assert!(
        per_frame <= L2_CEILING,
        "{per_frame:.0} instructions per frame, at most {L2_CEILING} are allowed: \
         look with `valgrind --tool=callgrind {} 1000` and callgrind_annotate",
        program.display()
    );
}
