//! Lines that scripts rely on, and those that help a newcomer on.

use crate::config::Profile;
use crate::event::Role;
use crate::ims::Listener;
use crate::packet::Transport;
use serde_json::{Map, Value, json};
use std::fmt::Display;
use std::path::Path;

/// `a, b`
pub(super) fn list<T: Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// `ready realm=R pcscf=ADDR:PORT ...`: one word an unprotected listener.
pub(super) fn ready_line(listeners: &[Listener], realm: &str, control: Option<&Path>) -> String {
    let mut line = format!("ready realm={realm}");
    for listener in shown(listeners) {
        line.push_str(&format!(" {}={}", key(listener), listener.address));
    }
    if let Some(path) = control {
        line.push_str(&format!(" control={}", path.display()));
    }
    line
}

/// The same as a JSON object.
pub(super) fn ready_json(listeners: &[Listener], realm: &str, control: Option<&Path>) {
    let mut addresses: Map<String, Value> = Map::new();
    for listener in shown(listeners) {
        let entry = addresses.entry(key(listener)).or_insert_with(|| json!([]));
        if let Some(list) = entry.as_array_mut() {
            list.push(json!(listener.address.to_string()));
        }
    }
    let mut object = json!({"event": "ready", "at": 0.0, "realm": realm});
    if let Some(object) = object.as_object_mut() {
        object.extend(addresses);
        object.extend(control.map(|path| ("control".to_owned(), json!(path))));
    }
    println!("{object}");
}

/// The last line of a run with `--json`.
pub(super) fn report_json(failure: Option<&str>) {
    println!("{}", json(failure));
}

/// The same as an object, for more members.
pub(super) fn json(failure: Option<&str>) -> Value {
    json!({"event": "report", "ok": failure.is_none(), "failure": failure})
}

/// Whoever gives a capture away should know.
pub(super) fn warn_of_keys() {
    eprintln!("imsreg: the capture holds CK, IK and XRES as they are on Cx and Mw");
}

/// Three lines for somebody who has just seen the first ladder. `another`: the lab's further subscribers are there.
pub(super) fn next_steps(profile: &Profile, another: bool, once: bool) -> String {
    let pcscf = profile.pcscf_for_ue();
    let realm = format!("--realm {} ", profile.realm);
    let realm = if *profile.realm == *LAB_REALM { "" } else { &realm };
    let another = match (another, profile.ue.transport) {
        (true, _) => ANOTHER_UE,
        (false, Transport::Tls) => "--transport tls --impu IMPU --password PASSWORD",
        (false, _) => "--imsi IMSI --k K --opc OPC",
    };
    let lines = [
        format!("be another UE:   imsreg register --pcscf {pcscf} {realm}{another}"),
        "point your own:  imsreg serve --sip ADDR:5060 --realm REALM --hss-data FILE".to_owned(),
        "keep the trace:  imsreg --once --capture first.pcapng".to_owned(),
    ];
    let stays = if once { "" } else { "The network stays up until Ctrl-C.\n" };
    format!("\n{}\n{stays}", lines.join("\n"))
}

/// The first subscriber of the range in `hss-data/lab.yaml`.
pub(super) const ANOTHER_IMSI: &str = "001010000001000";
const ANOTHER_UE: &str = "--imsi 001010000001000 --subscriber hss-data/lab.yaml";
/// What follows from that IMSI.
const LAB_REALM: &str = "ims.mnc001.mcc001.3gppnetwork.org";

fn shown(listeners: &[Listener]) -> impl Iterator<Item = &Listener> {
    listeners.iter().filter(|l| !l.protected)
}

const fn key(listener: &Listener) -> &'static str {
    match listener.role {
        Role::Pcscf if listener.tls => "pcscf-tls",
        Role::Ue => "ue",
        Role::Pcscf => "pcscf",
        Role::Icscf => "icscf",
        Role::Scscf => "scscf",
        Role::Hss => "hss",
        Role::ApplicationServer => "as",
    }
}
