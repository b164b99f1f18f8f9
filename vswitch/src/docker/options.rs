//! Options of `docker network create -o`.

use serde_json::Value;
use vswitch_api::network::NetworkRequest;
use vswitch_api::port_settings::limits::{BitRate, Ceiling};
use vswitch_api::port_settings::vlan::VlanMode;

use super::protocol::{GENERIC, INTERNAL, Options};

/// The label with the first letters of interfaces in containers.
pub(super) const PREFIX_LABEL: &str = "docker.interface-prefix";

const NAME: &str = "name";
const OVERLAY: &str = "overlay";

/// Options with their names in Docker's bridge driver, where it has them.
const NAMES: [(&str, Option<&str>); 13] = [
    (NAME, None),
    (OVERLAY, None),
    ("vni", None),
    ("device", Some("com.docker.network.bridge.name")),
    ("mtu", Some("com.docker.network.driver.mtu")),
    ("interface-prefix", Some("com.docker.network.container_iface_prefix")),
    ("internal", None),
    ("isolated-ports", None),
    ("cut-through", None),
    ("uplink", None),
    ("rate", None),
    ("vlan", None),
    ("guard", None),
];

/// Sets what the options of a request say.
pub(super) fn apply(options: &Options, request: &mut NetworkRequest) -> Result<(), String> {
    request.internal |= options.get(INTERNAL).is_some_and(|value| *value == Value::Bool(true));
    let Some(Value::Object(given)) = options.get(GENERIC) else { return Ok(()) };
    for (key, value) in given {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let known =
            NAMES.iter().find(|(name, dockers)| key == name || Some(key.as_str()) == *dockers);
        let Some((name, _)) = known else {
            let names = NAMES.map(|(name, _)| name).join(", ");
            return Err(format!("there is no option {key:?}; the options are {names}"));
        };
        let set = set(name, &text, request);
        set.map_err(|error| format!("option {key}={text} is refused: {error}"))?;
    }
    if let Some(name) = given.get(OVERLAY) {
        if given.contains_key(NAME) {
            return Err(format!(
                "the overlay network is named by option {OVERLAY}: leave {NAME} out"
            ));
        }
        name.as_str().unwrap_or_default().clone_into(&mut request.name);
    } else if request.overlay.is_some() {
        return Err("option vni is for an overlay network: add -o overlay=NAME".to_owned());
    }
    let is_internal = request.internal || request.uplink.as_deref() == Some("none");
    if let Some(vlan) = &request.settings.vlan
        && *vlan != VlanMode::default()
        && !is_internal
    {
        return Err(format!(
            "VLAN {vlan} needs --internal: the switch routes no VLAN to the world"
        ));
    }
    Ok(())
}

fn set(name: &str, text: &str, request: &mut NetworkRequest) -> Result<(), String> {
    match name {
        NAME => text.clone_into(&mut request.name),
        OVERLAY => drop(request.overlay.get_or_insert_default()),
        "vni" => {
            let vni = text.parse().map_err(|_| "it is no number")?;
            request.overlay.get_or_insert_default().vni = Some(vni);
        }
        "device" => request.device = Some(text.to_owned()),
        "mtu" => request.mtu = Some(text.parse().map_err(|_| "it is no number")?),
        "interface-prefix" => {
            request.labels.insert(PREFIX_LABEL.to_owned(), prefix(text)?);
        }
        "internal" => request.internal |= flag(text)?,
        "isolated-ports" => request.isolated_ports = flag(text)?,
        "cut-through" => request.cut_through = Some(flag(text)?),
        "uplink" => request.uplink = Some(text.to_owned()),
        "rate" => {
            let rate = Some(text.parse::<Ceiling<BitRate>>().map_err(|error| error.to_string())?);
            request.settings.limits.rate_in = rate;
            request.settings.limits.rate_out = rate;
        }
        "vlan" => {
            let domain = text.parse().map_err(|error| format!("{error}"))?;
            request.settings.vlan = Some(VlanMode::Access(domain));
        }
        _ => request.settings.guard = Some(text.parse().map_err(|error| format!("{error}"))?),
    }
    Ok(())
}

/// An option without a value is on.
fn flag(text: &str) -> Result<bool, String> {
    match text {
        "" | "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("it is neither true nor false".to_owned()),
    }
}

/// Docker adds a number; an interface has 15 letters.
fn prefix(text: &str) -> Result<String, String> {
    let fits = (1..=12).contains(&text.len());
    match fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        true => Ok(text.to_owned()),
        false => Err("write 1 to 12 letters and digits, such as eth".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn applied(options: Value) -> Result<NetworkRequest, String> {
        let options = json!({ GENERIC: options });
        let mut request = NetworkRequest { name: "docker-abc".to_owned(), ..Default::default() };
        apply(options.as_object().expect("an object"), &mut request)?;
        Ok(request)
    }

    #[test]
    fn a_flag_without_a_value_is_on() {
        let cut_through = |text| applied(json!({ "cut-through": text })).map(|it| it.cut_through);
        assert_eq!(cut_through(""), Ok(Some(true)));
        assert_eq!(cut_through("false"), Ok(Some(false)));
        assert_eq!(applied(json!({})).unwrap().cut_through, None);
        assert!(cut_through("perhaps").unwrap_err().contains("cut-through=perhaps"));
    }

    #[test]
    fn an_overlay_network_has_a_name_and_perhaps_a_vni() {
        let request = applied(json!({ "vni": "42", "overlay": "blue" })).unwrap();
        assert_eq!((&request.name[..], request.overlay.and_then(|it| it.vni)), ("blue", Some(42)));
        let request = applied(json!({ "overlay": "blue" })).unwrap();
        assert!(request.overlay.is_some_and(|it| it.vni.is_none()));
        assert!(applied(json!({ "name": "blue" })).unwrap().overlay.is_none());
        let error = applied(json!({ "overlay": "blue", "name": "green" })).unwrap_err();
        assert_eq!(error, "the overlay network is named by option overlay: leave name out");
        let error = applied(json!({ "vni": "42" })).unwrap_err();
        assert_eq!(error, "option vni is for an overlay network: add -o overlay=NAME");
        let error = applied(json!({ "overlay": "blue", "vni": "many" })).unwrap_err();
        assert_eq!(error, "option vni=many is refused: it is no number");
    }
}
