//! Parameters of a call: the environment variables `CNI_*`.

use std::path::{Path, PathBuf};

use crate::error::{CniError, Code, Outcome};
use crate::limits::IFNAME_MAX;

/// Reads a variable; an empty one is absent.
pub(crate) type Read<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The operation of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Add,
    Del,
    Check,
    Status,
    Gc,
    Version,
}

const OPERATIONS: [(Operation, &str); 6] = [
    (Operation::Add, "ADD"),
    (Operation::Del, "DEL"),
    (Operation::Check, "CHECK"),
    (Operation::Status, "STATUS"),
    (Operation::Gc, "GC"),
    (Operation::Version, "VERSION"),
];

impl Operation {
    /// Reads `CNI_COMMAND`.
    pub(crate) fn parse(text: &str) -> Outcome<Self> {
        let found = OPERATIONS.iter().find(|(_, name)| *name == text);
        found.map(|(operation, _)| *operation).ok_or_else(|| {
            let names: Vec<_> = OPERATIONS.iter().map(|(_, name)| *name).collect();
            invalid(format!("CNI_COMMAND is {text:?}, none of {}", names.join(", ")))
        })
    }
}

/// The attachment that ADD, DEL or CHECK is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attachment {
    pub(crate) container_id: String,
    pub(crate) ifname: String,
    /// The namespace; a DEL may have none.
    pub(crate) netns: Option<PathBuf>,
}

impl Attachment {
    /// Reads the variables of `operation`, all of them before it refuses.
    pub(crate) fn read(operation: Operation, read: Read<'_>) -> Outcome<Self> {
        let mut faults = Vec::new();
        let container_id = read("CNI_CONTAINERID").unwrap_or_default();
        let ifname = read("CNI_IFNAME").unwrap_or_default();
        let netns = read("CNI_NETNS").map(PathBuf::from);
        if let Some(fault) = fault_of_id(&container_id) {
            faults.push(format!("CNI_CONTAINERID {fault}"));
        }
        if let Some(fault) = fault_of_ifname(&ifname) {
            faults.push(format!("CNI_IFNAME {fault}"));
        }
        match &netns {
            None if operation != Operation::Del => faults.push("CNI_NETNS is absent".into()),
            Some(path) if !path.is_absolute() => {
                faults.push(format!("CNI_NETNS {} is not absolute", path.display()));
            }
            _ => {}
        }
        if faults.is_empty() {
            Ok(Self { container_id, ifname, netns })
        } else {
            Err(invalid(faults.join("; ")))
        }
    }

    /// The namespace of an operation that needs one.
    pub(crate) fn netns(&self) -> Outcome<&Path> {
        let netns = self.netns.as_deref();
        netns.ok_or_else(|| invalid("CNI_NETNS is absent".into()))
    }

    /// Whether the namespace is still there.
    pub(crate) fn has_netns(&self) -> bool {
        self.netns.as_deref().is_some_and(Path::exists)
    }
}

fn invalid(fault: String) -> CniError {
    CniError::new(Code::InvalidEnvironment, fault)
}

/// What keeps a text from being a container id, or the name of a network: they share their alphabet.
pub(crate) fn fault_of_id(id: &str) -> Option<String> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if id.is_empty() {
        Some("is absent".into())
    } else if !id.as_bytes()[0].is_ascii_alphanumeric() || !id.bytes().all(known) {
        Some(format!(
            "is {id:?}: it needs letters, digits, `_`, `.` and `-`, and one of the first two in front"
        ))
    } else {
        None
    }
}

fn fault_of_ifname(name: &str) -> Option<String> {
    let is_bad = |it: char| it == '/' || it == ':' || it.is_whitespace();
    if name.is_empty() {
        Some("is absent".into())
    } else if name == "." || name == ".." || name.contains(is_bad) || name.len() > IFNAME_MAX {
        Some(format!(
            "{name:?} is no name of an interface, which has up to {IFNAME_MAX} characters"
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(operation: Operation, variables: &[(&str, &str)]) -> Outcome<Attachment> {
        Attachment::read(operation, &|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned()).filter(|value| !value.is_empty())
        })
    }

    #[test]
    fn an_error_names_every_variable_that_is_wrong() {
        let error = read(Operation::Add, &[]).unwrap_err();
        assert_eq!(error.code.number(), 4);
        for name in ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"] {
            assert!(error.message.contains(&format!("{name} is absent")), "{error}");
        }
        let id = ("CNI_CONTAINERID", "a b");
        let error = read(Operation::Del, &[id, ("CNI_IFNAME", "a/b"), ("CNI_NETNS", "x")]);
        let message = error.unwrap_err().message;
        for value in ["\"a b\"", "\"a/b\"", "CNI_NETNS x is not absolute"] {
            assert!(message.contains(value), "{message}");
        }
        let long = ("CNI_IFNAME", "a234567890123456");
        assert!(read(Operation::Del, &[("CNI_CONTAINERID", "a"), long]).is_err());
    }

    #[test]
    fn only_del_needs_no_namespace() {
        let variables = [("CNI_CONTAINERID", "a"), ("CNI_IFNAME", "eth0"), ("CNI_NETNS", "")];
        assert_eq!(read(Operation::Del, &variables).unwrap().netns, None);
        assert!(read(Operation::Check, &variables).is_err());
        assert_eq!(Operation::parse("GC"), Ok(Operation::Gc));
        assert!(Operation::parse("add").unwrap_err().message.contains("\"add\", none of ADD"));
    }
}
