//! Names for attachments.
//!
//! Runtimes know a container by an id, and some tell a name. The name is nicer, but may be taken: pods of two
//! namespaces share names. So ADD tries the name, then the id. The name is an alias in any case.

use crate::arguments::Arguments;
use crate::environment::{Attachment, fault_of_id};
use crate::limits::{LABEL_MAX, NAME_MAX};

/// Characters of an id that show, as in `podman ps` and more than in `docker ps`.
const ID_SHOWN: usize = 13;

/// Least characters of an id that a program made: people's are shown in full.
const MADE_ID_MIN: usize = 32;

/// Names to try, the best first; the last one is free unless the attachment is there already.
pub(crate) fn candidates(attachment: &Attachment, arguments: &Arguments) -> Vec<String> {
    let id = &attachment.container_id;
    let is_made = id.len() >= MADE_ID_MIN && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let shown = &id[..if is_made { ID_SHOWN } else { id.len() }];
    let suffix = match attachment.ifname.as_str() {
        "eth0" => String::new(),
        ifname => format!("-{ifname}"),
    };
    let pod = arguments.pod.clone();
    let names = pod.into_iter().chain([format!("{shown}{suffix}"), format!("{id}{suffix}")]);
    let mut candidates: Vec<String> = Vec::new();
    for name in names.filter(|name| fault_of_id(name).is_none() && name.len() <= NAME_MAX) {
        if !candidates.contains(&name) {
            candidates.push(name);
        }
    }
    candidates
}

/// Aliases: those of the runtime, and the name with its namespace where DNS can carry it.
pub(crate) fn aliases(name: &str, arguments: &Arguments, asked: &[String]) -> Vec<String> {
    let mut aliases = asked.to_vec();
    let pod = arguments.pod.iter().cloned();
    let namespace = arguments.pod_namespace.as_deref();
    let full = pod.clone().zip(namespace).map(|(pod, namespace)| format!("{pod}.{namespace}"));
    aliases.extend(pod.chain(full).filter(|alias| is_alias(alias)));
    let mut seen = vec![name.to_owned()];
    aliases.retain(|alias| {
        let is_new = !seen.contains(alias);
        seen.push(alias.clone());
        is_new
    });
    aliases
}

fn is_alias(text: &str) -> bool {
    let fits = |label: &str| (1..=LABEL_MAX).contains(&label.len());
    fault_of_id(text).is_none() && text.len() <= NAME_MAX && text.split('.').all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn names(id: &str, ifname: &str, pod: Option<&str>) -> Vec<String> {
        let (container_id, ifname) = (id.to_owned(), ifname.to_owned());
        let attachment = Attachment { container_id, ifname, netns: None };
        let pod = pod.map(str::to_owned);
        candidates(&attachment, &Arguments { pod, ..Arguments::default() })
    }

    #[test]
    fn the_name_of_the_pod_comes_first_then_the_id() {
        assert_eq!(names(ID, "eth0", Some("web-0")), ["web-0", "0123456789abc", ID]);
        let with_interface = ["web-0", "0123456789abc-net1", &format!("{ID}-net1")];
        assert_eq!(names(ID, "net1", Some("web-0")), with_interface);
        assert_eq!(names("frontend-of-the-shop", "eth0", None), ["frontend-of-the-shop"]);
        // No name of the switch, so it is not tried.
        assert_eq!(names("a", "eth0", Some(&"x".repeat(129))), ["a"]);
        assert_eq!(names("a", "eth0", Some("_x")), ["a"]);
    }

    #[test]
    fn the_pod_is_an_alias_under_any_other_name() {
        let pod = Some("web-0".to_owned());
        let arguments =
            Arguments { pod, pod_namespace: Some("shop".into()), ..Arguments::default() };
        let asked = ["db".to_owned(), "web-0".to_owned()];
        assert_eq!(aliases("a", &arguments, &asked), ["db", "web-0", "web-0.shop"]);
        assert_eq!(aliases("web-0", &arguments, &asked), ["db", "web-0.shop"]);
        let long = Arguments { pod: Some("x".repeat(64)), ..Arguments::default() };
        assert_eq!(aliases("a", &long, &[]), Vec::<String>::new());
    }
}
