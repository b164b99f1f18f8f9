//! `vswitch-netavark`: networks of podman on the switch, as a plugin of netavark.
//!
//! netavark runs a plugin with a subcommand, and JSON on standard input (its `plugin-API.md`, API 1.0.0). The
//! plugin keeps nothing: what it needs again is in labels of networks and attachments.
//!
//! | command | input | does |
//! |---|---|---|
//! | `create` | a network | creates it in the switch, and prints it with its subnets |
//! | `setup NETNS` | a network, and options of a container | attaches the namespace, and prints its addresses |
//! | `teardown NETNS` | the same | detaches it; nothing is no error |
//! | `info` | | prints the versions |
//!
//! A failure is `{"error": ...}` on standard output, with exit code 1.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "the protocol of netavark")]

mod attachment;
mod error;
mod network;
mod options;
mod protocol;
mod switch;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use error::PluginError;
use protocol::{ContainerRequest, Network};

/// Version of the protocol.
const API_VERSION: &str = "1.0.0";

/// The largest input that is read: a network with all its labels has some KiB.
const INPUT_BYTES_MAX: u64 = 4 << 20;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(run(std::env::args().skip(1).collect())),
        Err(error) => Err(PluginError::Refused(format!("cannot start the HTTP client: {error}"))),
    };
    match done {
        Ok(Value::Null) => ExitCode::SUCCESS,
        Ok(answer) => {
            println!("{answer}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{}", json!({ "error": error.told() }));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Vec<String>) -> Result<Value, PluginError> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        [] | ["info"] => {
            Ok(json!({ "version": env!("CARGO_PKG_VERSION"), "api_version": API_VERSION }))
        }
        ["create"] => {
            let text: Value = read("a network")?;
            if !text.is_object() {
                return Err(PluginError::Refused(format!("the input is not a network: {text}")));
            }
            let network: Network = parse(text.clone(), "a network")?;
            network::create(&network, text).await
        }
        ["setup", netns] => attachment::setup(PathBuf::from(netns), &container()?).await,
        ["teardown", netns] => {
            attachment::teardown(Path::new(netns), &container()?).await.map(|()| Value::Null)
        }
        ["setup" | "teardown"] => {
            Err(PluginError::Usage(format!("{} needs the path of a network namespace", args[0])))
        }
        _ => Err(PluginError::Usage(format!("there is no command {:?}", args.join(" ")))),
    }
}

fn container() -> Result<ContainerRequest, PluginError> {
    let what = "a container with its network";
    parse(read(what)?, what)
}

/// Reads standard input.
fn read(what: &'static str) -> Result<Value, PluginError> {
    let mut text = Vec::new();
    let mut input = std::io::stdin().lock().take(INPUT_BYTES_MAX + 1);
    let length = input.read_to_end(&mut text).map_err(|error| PluginError::Read(what, error))?;
    if length as u64 > INPUT_BYTES_MAX {
        let fault = format!("the input is longer than {INPUT_BYTES_MAX} bytes");
        return Err(PluginError::Refused(fault));
    }
    serde_json::from_slice(&text).map_err(|error| PluginError::Json(what, error))
}

fn parse<T: DeserializeOwned>(value: Value, what: &'static str) -> Result<T, PluginError> {
    serde_json::from_value(value).map_err(|error| PluginError::Json(what, error))
}
