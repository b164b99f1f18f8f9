//! The DHCP server: any bytes as a frame, as a DHCPv4 and as a DHCPv6 message.

#![no_main]

// As the tests call it.
extern crate vswitch_wire as wire;

use libfuzzer_sys::fuzz_target;

#[path = "../../vswitch/dhcp/tests/properties/exercise.rs"]
mod exercise;

fuzz_target!(|bytes: &[u8]| exercise::answer(bytes));
