//! The text of the document. Attachments that did not change keep their text: there may be thousands of publications, and
//! a change is one of them.

use serde::Serialize;

use super::{Attachment, Document, NetworkRecord, PoolRecord, StaticRecord};

/// Attachments of the last document, with their text.
#[derive(Debug, Default)]
pub(super) struct Rendered(Vec<(Attachment, Vec<u8>)>);

/// The document without its attachments, whose place is empty.
#[derive(Serialize)]
struct Outline<'a> {
    version: u32,
    networks: &'a [NetworkRecord],
    attachments: [(); 0],
    statics: &'a [StaticRecord],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pools: &'a [PoolRecord],
}

/// The place of the attachments. No text of the document has a line break, so that it is there once.
const EMPTY: &[u8] = b"\n  \"attachments\": []";
const START: &[u8] = b"\n  \"attachments\": [\n    ";
const SEPARATOR: &[u8] = b",\n    ";
const END: &[u8] = b"\n  ]";

impl Rendered {
    /// The text of a document, ended by a line break.
    pub(super) fn text(&mut self, document: &Document) -> serde_json::Result<Vec<u8>> {
        let Document { version, networks, attachments, statics, pools } = document;
        let outline = Outline { version: *version, networks, attachments: [], statics, pools };
        let outline = serde_json::to_vec_pretty(&outline)?;
        self.update(attachments)?;
        let mut text = Vec::with_capacity(outline.len() + 1 + self.len());
        let place = outline.windows(EMPTY.len()).position(|window| window == EMPTY);
        match place.filter(|_| !attachments.is_empty()) {
            None => text.extend_from_slice(&outline),
            Some(at) => {
                text.extend_from_slice(&outline[..at]);
                for (n, (_, attachment)) in self.0.iter().enumerate() {
                    text.extend_from_slice(if n == 0 { START } else { SEPARATOR });
                    text.extend_from_slice(attachment);
                }
                text.extend_from_slice(END);
                text.extend_from_slice(&outline[at + EMPTY.len()..]);
            }
        }
        text.push(b'\n');
        Ok(text)
    }

    fn len(&self) -> usize {
        let each = SEPARATOR.len() + START.len();
        self.0.iter().map(|(_, text)| text.len() + each).sum()
    }

    /// Renders the attachments that are new or have changed.
    fn update(&mut self, attachments: &[Attachment]) -> serde_json::Result<()> {
        let mut former = std::mem::take(&mut self.0).into_iter().peekable();
        for attachment in attachments {
            // Those that have gone are passed by; the order stays.
            while former.next_if(|(it, _)| place(it) < place(attachment)).is_some() {}
            match former.next_if(|(it, _)| it == attachment) {
                Some(same) => self.0.push(same),
                None => self.0.push((attachment.clone(), rendered(attachment)?)),
            }
        }
        Ok(())
    }
}

/// Attachments are in the order of these.
fn place(attachment: &Attachment) -> (&super::Name, &str) {
    (&attachment.name, &attachment.network)
}

fn rendered(attachment: &Attachment) -> serde_json::Result<Vec<u8>> {
    let text = serde_json::to_vec_pretty(attachment)?;
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    Ok(lines.join(&b"\n    "[..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attachment(name: &str, ports: &[&str]) -> Attachment {
        let publish: Vec<_> =
            ports.iter().map(|ports| serde_json::json!({ "ports": ports })).collect();
        let record = serde_json::json!({
            "name": name, "network": "br0", "ifname": "eth0", "mac": "02:00:00:00:00:01",
            "publish": publish, "labels": { "a": "\n  \"attachments\": []" },
        });
        serde_json::from_value(record).unwrap()
    }

    #[test]
    fn the_text_is_that_of_the_whole_document_after_any_change() {
        let mut rendered = Rendered::default();
        let all = ["b", "c", "d"].map(|name| attachment(name, &["80:80"]));
        let [b, c, d] = all.clone();
        let changed = attachment("c", &["80:80", "81:81"]);
        let (a, e) = (attachment("a", &[]), attachment("e", &[]));
        let lists = [
            vec![],
            all.to_vec(),
            vec![b.clone(), changed.clone(), d.clone()],
            vec![b.clone(), d.clone()],
            vec![a, b, changed, d, e],
            vec![c],
            vec![],
        ];
        for attachments in lists {
            let (networks, statics, pools) = (Vec::new(), Vec::new(), Vec::new());
            let document = Document { version: 1, networks, attachments, statics, pools };
            let mut whole = serde_json::to_vec_pretty(&document).unwrap();
            whole.push(b'\n');
            let text = rendered.text(&document).unwrap();
            assert_eq!(String::from_utf8(text).unwrap(), String::from_utf8(whole).unwrap());
        }
    }
}
