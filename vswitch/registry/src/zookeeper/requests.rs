//! Requests and their answers as typed values.

use super::jute::{Decoder, Encoder, Malformed};

/// Codes of operations.
pub(crate) mod opcode {
    pub(crate) const CREATE: i32 = 1;
    pub(crate) const DELETE: i32 = 2;
    pub(crate) const EXISTS: i32 = 3;
    pub(crate) const GET_DATA: i32 = 4;
    pub(crate) const SET_DATA: i32 = 5;
    pub(crate) const SYNC: i32 = 9;
    pub(crate) const PING: i32 = 11;
    pub(crate) const GET_CHILDREN: i32 = 8;
    pub(crate) const CHECK: i32 = 13;
    pub(crate) const MULTI: i32 = 14;
    pub(crate) const AUTH: i32 = 100;
    pub(crate) const ADD_WATCH: i32 = 106;
    pub(crate) const CLOSE: i32 = -11;
}

/// Codes of errors.
pub(crate) mod code {
    pub(crate) const RUNTIME_INCONSISTENCY: i32 = -2;
    pub(crate) const NO_NODE: i32 = -101;
    pub(crate) const NO_AUTH: i32 = -102;
    pub(crate) const BAD_VERSION: i32 = -103;
    pub(crate) const NODE_EXISTS: i32 = -110;
    pub(crate) const SESSION_EXPIRED: i32 = -112;
    pub(crate) const AUTH_FAILED: i32 = -115;
}

/// Mode 1 of `ADD_WATCH`: all nodes below, until it is removed.
const PERSISTENT_RECURSIVE: i32 = 1;

/// All permissions.
const PERMISSIONS: i32 = 31;

/// A request without its header.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) opcode: i32,
    pub(crate) body: Vec<u8>,
}

impl Request {
    fn new(opcode: i32, body: Encoder) -> Self {
        Self { opcode, body: body.finish() }
    }

    /// A node's stat.
    pub(crate) fn exists(path: &str) -> Self {
        Self::new(opcode::EXISTS, Encoder::default().string(path).boolean(false))
    }

    /// A node's data and stat.
    pub(crate) fn get_data(path: &str) -> Self {
        Self::new(opcode::GET_DATA, Encoder::default().string(path).boolean(false))
    }

    /// Names of a node's children.
    pub(crate) fn get_children(path: &str) -> Self {
        Self::new(opcode::GET_CHILDREN, Encoder::default().string(path).boolean(false))
    }

    /// Makes the server's state as new as the leader's.
    pub(crate) fn sync(path: &str) -> Self {
        Self::new(opcode::SYNC, Encoder::default().string(path))
    }

    pub(crate) fn watch_below(path: &str) -> Self {
        let body = Encoder::default().string(path).int(PERSISTENT_RECURSIVE);
        Self::new(opcode::ADD_WATCH, body)
    }

    pub(crate) fn close() -> Self {
        Self::new(opcode::CLOSE, Encoder::default())
    }

    /// A node that persists until it is deleted.
    pub(crate) fn create_folder(path: &str, access: Access) -> Self {
        Self::new(opcode::CREATE, create(path, &[], access, false))
    }

    /// All steps or none.
    pub(crate) fn multi(steps: &[Step<'_>], access: Access) -> Self {
        let mut body = Encoder::default();
        for step in steps {
            let (opcode, record) = step.encode(access);
            body = body.int(opcode).boolean(false).int(-1).bytes(&record.finish());
        }
        Self::new(opcode::MULTI, body.int(-1).boolean(true).int(-1))
    }
}

/// Who may use nodes that are created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Anyone,
    /// The user of this session.
    Creator,
}

fn create(path: &str, data: &[u8], access: Access, is_ephemeral: bool) -> Encoder {
    let (scheme, id) = match access {
        Access::Anyone => ("world", "anyone"),
        Access::Creator => ("auth", ""),
    };
    let body = Encoder::default().string(path).buffer(data);
    body.int(1).int(PERMISSIONS).string(scheme).string(id).int(is_ephemeral.into())
}

/// One step of a `MULTI`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step<'a> {
    Create { path: &'a str, data: &'a [u8], is_ephemeral: bool },
    SetData { path: &'a str, data: &'a [u8], version: i32 },
    Delete { path: &'a str, version: i32 },
    Check { path: &'a str, version: i32 },
}

impl Step<'_> {
    fn encode(self, access: Access) -> (i32, Encoder) {
        match self {
            Step::Create { path, data, is_ephemeral } => {
                (opcode::CREATE, create(path, data, access, is_ephemeral))
            }
            Step::SetData { path, data, version } => {
                let body = Encoder::default().string(path).buffer(data).int(version);
                (opcode::SET_DATA, body)
            }
            Step::Delete { path, version } => {
                (opcode::DELETE, Encoder::default().string(path).int(version))
            }
            Step::Check { path, version } => {
                (opcode::CHECK, Encoder::default().string(path).int(version))
            }
        }
    }
}

/// What a node's stat says, as far as it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Transaction of the last change of the data.
    pub(crate) mzxid: i64,
    pub(crate) version: i32,
    /// Session of an ephemeral node, or 0.
    pub(crate) owner: i64,
    pub(crate) data_bytes: i32,
    pub(crate) children: i32,
}

pub(crate) fn stat(decoder: &mut Decoder<'_>) -> Result<Stat, Malformed> {
    decoder.long()?; // czxid
    let mzxid = decoder.long()?;
    decoder.long()?; // ctime
    decoder.long()?; // mtime
    let version = decoder.int()?;
    decoder.int()?; // cversion
    decoder.int()?; // aversion
    let owner = decoder.long()?;
    let data_bytes = decoder.int()?;
    let children = decoder.int()?;
    decoder.long()?; // pzxid
    Ok(Stat { mzxid, version, owner, data_bytes, children })
}

pub(crate) fn names(body: &[u8]) -> Result<Vec<String>, Malformed> {
    let mut decoder = Decoder(body);
    let count = decoder.int()?;
    (0..count).map(|_| decoder.string().map(str::to_owned)).collect()
}

/// The first step of a `MULTI` that failed, with its error; none: all steps were made.
pub(crate) fn failed_step(body: &[u8]) -> Result<Option<(usize, i32)>, Malformed> {
    let mut decoder = Decoder(body);
    for index in 0.. {
        let (opcode, is_end) = (decoder.int()?, decoder.boolean()?);
        let header_error = decoder.int()?;
        if is_end {
            break;
        }
        match opcode {
            opcode::CREATE => drop(decoder.string()?),
            opcode::SET_DATA => drop(stat(&mut decoder)?),
            -1 => match decoder.int()? {
                // Steps before the failed one, and after it.
                0 | code::RUNTIME_INCONSISTENCY => {}
                error => return Ok(Some((index, error))),
            },
            opcode::DELETE | opcode::CHECK => {}
            _ if header_error != 0 => return Ok(Some((index, header_error))),
            _ => return Err(Malformed),
        }
    }
    Ok(None)
}
