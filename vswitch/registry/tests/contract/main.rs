//! One contract that every registry keeps: etcd and ZooKeeper as real servers, Consul as a double of its HTTP API
//! (`testkit::consul`), since no package has its server, and the registry in memory that other tests use.
//!
//! Each server listens on ports of its own and ends with its test.
#![forbid(unsafe_code)]

mod consul;
mod etcd;
mod file;
mod leases;
mod memory;
mod nodes;
mod operations;
mod outages;
mod proxy;
mod scale;
mod server;
mod suite;
mod watches;
mod zookeeper;
