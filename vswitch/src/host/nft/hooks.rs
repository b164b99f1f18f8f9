//! Devices at whose ingress the kernel has chains.
//!
//! Until Linux 6.16 the kernel takes a device that goes, also to another namespace, out of its chains, and deletes a
//! chain that has no other device, without a new generation. Later kernels keep the name, and hook the device when it
//! comes back. Linux 6.4 takes devices out of a chain on request; before, the same request deletes the chain.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::path::Path;

use vswitch_sys::ProtoFamily;
use vswitch_sys::query::{self, Answer};
use vswitch_sys::socket::Socket;

use super::build::{Written, WrittenChain};
use super::exchange::{drain, receive};

/// The chains of the `netdev` table that the kernel has.
pub(super) fn read(socket: &Socket, table: &CStr) -> io::Result<Vec<WrittenChain>> {
    let (mut chains, mut is_done) = (Vec::new(), false);
    drain(socket);
    socket.send(&query::ask_chains(ProtoFamily::NetDev, 1))?;
    while !is_done {
        receive(socket, |answer| match answer {
            Answer::Chain { table: of, name, devices } if of == table.to_bytes() => {
                let text = |bytes| CString::new(bytes).unwrap_or_default();
                let devices = devices.into_iter().map(text).collect();
                chains.push(WrittenChain { name: text(name), devices });
            }
            Answer::Done | Answer::Ack { .. } => is_done = true,
            _ => {}
        })?;
    }
    Ok(chains)
}

/// Takes chains, and devices of chains, that the kernel has not out of what was written.
pub(super) fn keep(written: &mut Written, chains: &[WrittenChain]) {
    written.chains.retain_mut(|was| {
        let is = chains.iter().find(|it| it.name == was.name);
        is.is_some_and(|is| {
            was.devices.clone_from(&is.devices);
            true
        })
    });
}

/// A device that exists and that one of its chains is not at.
pub(super) fn lost<'a>(written: &'a Written, chains: &[WrittenChain]) -> Option<&'a CStr> {
    let is_hooked = |was: &WrittenChain, device: &CString| {
        chains.iter().any(|is| is.name == was.name && is.devices.contains(device))
    };
    let all = written.chains.iter().flat_map(|was| was.devices.iter().map(move |it| (was, it)));
    let mut lost = all.filter(|(was, device)| !is_hooked(was, device)).map(|(_, it)| it.as_c_str());
    lost.find(|device| device.to_str().is_ok_and(has_device))
}

/// Whether this kernel takes devices out of a chain that stays.
pub(super) fn can_remove_devices() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease");
    release.is_ok_and(|release| is_from_6_4(&release))
}

fn is_from_6_4(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (6, 4),
        _ => false,
    }
}

/// Whether a device of that name exists in the namespace of the calling thread.
pub(crate) fn has_device(name: &str) -> bool {
    // No device has an empty name, or one with a slash.
    let is_name = !name.is_empty() && !name.contains('/') && !name.starts_with('.');
    is_name && Path::new("/proc/sys/net/ipv4/conf").join(name).is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_says_what_a_kernel_can() {
        let can = ["6.4.0", "6.18.44-fc-v669\n", "7.0"].map(is_from_6_4);
        let cannot = ["6.3.13-200.fc38", "5.15.0-91-generic", "6.1.0-18-amd64", "", "6"];
        assert_eq!((can, cannot.map(is_from_6_4)), ([true; 3], [false; 5]));
    }

    #[test]
    fn a_device_that_is_gone_is_not_lost() {
        let chain = |devices: &[&CStr]| WrittenChain {
            name: c"uplink".into(),
            devices: devices.iter().map(|&it| it.into()).collect(),
        };
        let mut written = Written { rules: 1, chains: vec![chain(&[c"lo", c"gone0"])] };
        assert_eq!(lost(&written, &[chain(&[c"lo"])]), None);
        assert_eq!(lost(&written, &[chain(&[c"gone0"])]), Some(c"lo"));
        assert_eq!(lost(&written, &[]), Some(c"lo"));
        keep(&mut written, &[chain(&[c"lo"])]);
        assert_eq!(written.chains, [chain(&[c"lo"])]);
        keep(&mut written, &[]);
        assert_eq!(written.chains, []);
    }
}
