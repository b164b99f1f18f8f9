//! Instructions per frame of the pipeline, counted by callgrind: the same on every machine of one
//! architecture, whatever else it does. Builds `pipeline` in release mode and runs it under `valgrind` (Debian
//! package `valgrind`; `make test` installs it).

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

/// Layer 2 in memory, 64-byte frames, 1,000 MACs, stages and memory ports together. Measured on
/// x86-64: see docs/performance/micro.md.
const L2_CEILING: f64 = 660.0;

/// What all guards of a container's port may cost, as a share of the same pipeline without.
const GUARDS_CEILING: f64 = 1.15;

/// What a router may cost frames that are not for it, as a share of the same pipeline without: a comparison
/// a frame, and its part of what is looked at once a round.
const ROUTER_CEILING: f64 = 1.03;

/// Datagrams of 1,000 flows, translated on their way from containers to the uplink. 1,798 since there are tunnels
/// (1,786 before): 5 of these 12 are the memory engine's, which asks each port for its framing. Work that is due by the
/// clock adds a few on a busy machine: 1,801 were seen.
const TRANSLATED_CEILING: f64 = 1_815.0;

/// The release build is that of the switch, features and all: `make build` and this share what they compile.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let mut build = Command::new(std::env::var_os("CARGO").expect("cargo runs the tests"));
    // Cargo describes this test's package in these variables. Build scripts read them, and would run again for the switch.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            build.env_remove(&name);
        }
    }
    let built = build
        .args(["build", "--quiet", "--release", "-p", "vswitch-cli", "-p", "vswitch-pipeline"])
        .args(["--bin", "pipeline", "--message-format", "json"])
        .output()
        .expect("cargo starts");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let messages = String::from_utf8_lossy(&built.stdout);
    let executable = messages.lines().rev().find_map(|line| {
        let rest = line.split_once(r#""executable":""#)?.1;
        Some(rest.split_once('"')?.0.to_owned())
    });
    executable.expect("cargo tells where the program is").into()
});

/// Instructions that the program runs, and the frames that it moves.
fn counted(rounds: u32, load: &[&str]) -> (f64, f64) {
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(&*PROGRAM)
        .arg(rounds.to_string())
        .args(load)
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

/// What start-up and learning cost cancels out between a short run and a longer one.
fn per_frame(load: &[&str]) -> f64 {
    let (short, long) = (counted(200, load), counted(1_200, load));
    (long.0 - short.0) / (long.1 - short.1)
}

#[test]
fn guards_keep_below_their_ceiling() {
    let (plain, guarded) = (per_frame(&["plain"]), per_frame(&["guarded"]));
    assert!(guarded > plain, "the guards run: {guarded:.0} against {plain:.0} instructions");
    assert!(
        guarded <= plain * GUARDS_CEILING,
        "{guarded:.0} instructions per frame with all guards, {plain:.0} without: \
         at most {GUARDS_CEILING} times as many are allowed"
    );
}

#[test]
fn the_layer_2_pipeline_keeps_below_its_ceiling() {
    let per_frame = per_frame(&[]);
    assert!(
        per_frame <= L2_CEILING,
        "{per_frame:.0} instructions per frame, at most {L2_CEILING} are allowed: \
         look with `valgrind --tool=callgrind {} 1000` and callgrind_annotate",
        PROGRAM.display()
    );
}

#[test]
fn a_router_costs_frames_that_are_not_for_it_next_to_nothing() {
    let (plain, beside) = (per_frame(&[]), per_frame(&["beside-router"]));
    assert!(beside > plain, "the router looks: {beside:.1} against {plain:.1} instructions");
    assert!(
        beside <= plain * ROUTER_CEILING,
        "{beside:.0} instructions per frame beside a router, {plain:.0} without: \
         at most {ROUTER_CEILING} times as many are allowed"
    );
}

#[test]
fn translation_keeps_below_its_ceiling() {
    let per_frame = per_frame(&["translated", "1000"]);
    assert!(
        per_frame <= TRANSLATED_CEILING,
        "{per_frame:.0} instructions per translated frame, at most {TRANSLATED_CEILING} are allowed"
    );
}
