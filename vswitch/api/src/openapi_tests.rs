//! `docs/openapi.json` against the types. Its schemas are made from them: `make api` writes them anew.

use std::collections::BTreeSet;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::port_settings::guard::Guard;
use crate::port_settings::limits::Ceiling;
use crate::port_settings::vlan::VlanSet;
use crate::publish;
use crate::publish::{PortSpec, Prefix};
use crate::{
    address, conntrack, cut_through, dns, error, event, fdb, limits, network, overlay, port,
};
use crate::{port_settings, registry, routes, stats, status};

macro_rules! texts {
    ($($name:ty = $schema:literal, $pattern:literal;)*) => {$(
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "format": $schema, "pattern": $pattern})
            }
        }
    )*};
}

texts! {
    PortSpec = "[ADDRESS:]HOST[-HOST]:CONTAINER[-CONTAINER]/PROTOCOL",
        r"^(([0-9.]+|\[[0-9a-fA-F:.]+\]):)?([0-9-]*:)?[0-9]+(-[0-9]+)?(/(tcp|udp|sctp))?$";
    Prefix = "ADDRESS or SUBNET", "^[0-9a-fA-F.:]+(/[0-9]+)?$";
    Guard = "on, off, or addresses with commas between them", "^(on|off|[0-9a-fA-F.:, ]+)$";
    VlanSet = "VLAN ids and ranges with commas between them", "^[0-9, -]+$";
}

impl<T: JsonSchema> JsonSchema for Ceiling<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Ceiling".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"enum": ["default", "off"]}, T::json_schema(generator)]})
    }
}

/// Schemas of all bodies, and of the types in them.
fn schemas() -> Map<String, Value> {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut requests = settings.clone().for_deserialize().into_generator();
    requests.subschema_for::<network::NetworkRequest>();
    requests.subschema_for::<network::NetworkRemoval>();
    requests.subschema_for::<network::EndpointRequest>();
    requests.subschema_for::<address::AddressRequest>();
    requests.subschema_for::<overlay::PeerRequest>();
    requests.subschema_for::<port::AttachRequest>();
    requests.subschema_for::<port::NameChange>();
    requests.subschema_for::<port_settings::SettingsChange>();
    requests.subschema_for::<publish::Publication>();
    requests.subschema_for::<publish::PublicationKey>();
    requests.subschema_for::<conntrack::ConnectionFilter>();
    requests.subschema_for::<fdb::StaticEntry>();
    requests.subschema_for::<fdb::EntryKey>();
    requests.subschema_for::<dns::DnsQuery>();
    let mut responses = settings.for_serialize().into_generator();
    responses.subschema_for::<status::Status>();
    responses.subschema_for::<network::NetworkDetail>();
    responses.subschema_for::<network::Network>();
    responses.subschema_for::<address::ReservedAddress>();
    responses.subschema_for::<overlay::Peer>();
    responses.subschema_for::<registry::RegistryStatus>();
    responses.subschema_for::<port::PortDetail>();
    responses.subschema_for::<port::Port>();
    responses.subschema_for::<port::Pruned>();
    responses.subschema_for::<event::Event>();
    responses.subschema_for::<conntrack::Connection>();
    responses.subschema_for::<conntrack::Flushed>();
    responses.subschema_for::<cut_through::CutThroughConnection>();
    responses.subschema_for::<status::Shutdown>();
    responses.subschema_for::<fdb::FdbEntry>();
    responses.subschema_for::<dns::DnsName>();
    responses.subschema_for::<dns::DnsAnswer>();
    responses.subschema_for::<stats::Stats>();
    responses.subschema_for::<limits::Limit>();
    responses.subschema_for::<error::ApiError>();
    let mut all = responses.take_definitions(true);
    all.extend(requests.take_definitions(true));
    all.values_mut().for_each(join_lines);
    all
}

/// Descriptions are one line each, however the comment is wrapped.
fn join_lines(schema: &mut Value) {
    match schema {
        Value::String(text) => *text = text.replace('\n', " "),
        Value::Object(map) => map.values_mut().for_each(join_lines),
        Value::Array(items) => items.iter_mut().for_each(join_lines),
        _ => {}
    }
}

fn path() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json")
}

fn document() -> Value {
    serde_json::from_str(&std::fs::read_to_string(path()).unwrap()).unwrap()
}

#[test]
fn the_schemas_are_those_of_the_types() {
    let (mut document, made) = (document(), schemas());
    let described = &mut document["components"]["schemas"];
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        *described = Value::Object(made);
        std::fs::write(path(), serde_json::to_string_pretty(&document).unwrap() + "\n").unwrap();
        return;
    }
    for (name, schema) in &made {
        assert_eq!(described[name], *schema, "{name} in docs/openapi.json: run `make api`");
    }
    assert_eq!(described.as_object().unwrap().len(), made.len());
}

#[test]
fn the_paths_are_those_of_the_routes() {
    let described = document();
    let paths: BTreeSet<&str> =
        described["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(paths, routes::ALL.iter().copied().collect());
}

#[test]
fn every_reference_leads_to_a_schema() {
    fn walk(value: &Value, root: &Value) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(target)) = map.get("$ref") {
                    let pointer = target.strip_prefix('#').unwrap();
                    assert!(root.pointer(pointer).is_some(), "{target}");
                }
                map.values().for_each(|value| walk(value, root));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, root)),
            _ => {}
        }
    }
    let document = document();
    walk(&document, &document);
}

#[test]
fn optional_keys_of_a_request_may_be_absent() {
    let request = json!({"name": "a", "netns": {"pid": 1}});
    let request: port::AttachRequest = serde_json::from_value(request).unwrap();
    assert_eq!((request.ipv4, request.ifname), (None, None));
    let entry = json!({"mac": "02:00:00:00:00:01", "port": "a"});
    let entry: fdb::StaticEntry = serde_json::from_value(entry).unwrap();
    assert_eq!((entry.key.network, entry.key.vlan), (None, 0));
}
