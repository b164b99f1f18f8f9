use std::net::IpAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::exit_code;
use super::files::hosts_text;
use super::signals::{ignored_mask, sent_by_process};
use super::watchdog::parent_in;

#[test]
fn the_end_of_a_command_becomes_an_exit_code() {
    for (status, code) in [(0, 0), (7 << 8, 7), (255 << 8, 255), (15, 143), (9, 137)] {
        assert_eq!(exit_code(ExitStatus::from_raw(status)), code, "{status:#x}");
    }
}

#[test]
fn hosts_has_localhost_and_one_line_an_address() {
    let four: IpAddr = "10.99.0.2".parse().unwrap();
    let six: IpAddr = "fd00::2".parse().unwrap();
    let names = vec!["web".to_owned(), "web.br0".to_owned()];
    let text = hosts_text(&[(four, names.clone()), (six, names), (six, Vec::new())]);
    assert!(text.starts_with("127.0.0.1\tlocalhost\n::1\t"));
    assert!(text.ends_with("10.99.0.2\tweb web.br0\nfd00::2\tweb web.br0\n"), "{text}");
}

#[test]
fn signals_that_are_ignored_are_read_from_proc() {
    assert_eq!(ignored_mask("SigBlk:\t0\nSigIgn:\t0000000000001001\n"), 0x1001);
    assert_eq!(ignored_mask("nothing"), 0);
}

#[test]
fn the_terminals_signals_are_told_from_those_of_processes() {
    // SI_USER, SI_QUEUE, SI_TKILL; SI_KERNEL.
    assert!(sent_by_process(0) && sent_by_process(-1) && sent_by_process(-6));
    assert!(!sent_by_process(0x80));
}

#[test]
fn the_parent_is_read_after_the_name_of_the_program() {
    let stat = "12 (a) 1 (b) c) S 7 12 12 0 -1 4194560";
    assert_eq!(parent_in(stat), Some(7));
    assert_eq!(parent_in(""), None);
}
