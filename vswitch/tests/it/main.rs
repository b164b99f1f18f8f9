//! Tests of the library in real namespaces, through its API. They need root.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]
#![allow(clippy::disallowed_methods, reason = "tests wait for a real kernel, by a real clock")]

mod api;
mod attach;
mod dns;
mod isolate;
mod lab;
mod lifecycle;
mod signals;
