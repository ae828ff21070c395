//! `imsreg ctl` and its other end: what a running `imsreg serve` does and shows on request.

use super::Failure;
use super::args::{CtlArgs, CtlCommand, Reason};
use super::out::Out;
use crate::config::{Profile, load_subscribers};
use crate::cx::ReasonCode;
use crate::event::Role;
use crate::identity::Impu;
use crate::ims::{Element, Order};
use crate::ipsec::association::SaSetId;
use crate::live::{Answer, ControlSocket, Live, SaTraffic};
use crate::pcscf::SaSetView;
use crate::scscf::{ContactView, RegistrationView, Termination};
use crate::sip::Uri;
use crate::time::{Duration, Instant};
use clap::ValueEnum;
use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Binds the socket asked for; else the usual one, or, where another process has that, one of our own.
pub(super) fn bind(given: Option<&Path>) -> Result<ControlSocket, Failure> {
    let fail = |path: &Path, e: io::Error| Failure::Usage(format!("control socket {}: {e}", path.display()));
    if let Some(path) = given {
        return ControlSocket::bind(path).map_err(|e| fail(path, e));
    }
    let usual = usual_socket();
    ControlSocket::bind(&usual).or_else(|_| {
        let own = usual.with_extension(format!("{}.sock", std::process::id()));
        ControlSocket::bind(&own).map_err(|e| fail(&own, e))
    })
}

/// `imsreg ctl`: asks, and prints the answer.
pub(super) fn run(args: &CtlArgs) -> Result<(), Failure> {
    let path = args.socket.clone().unwrap_or_else(usual_socket);
    let said = ask(&path, &request(&args.command)?).map_err(|e| {
        Failure::Usage(format!(
            "{}: {e}; the ready line of `imsreg serve` names its socket, --socket PATH reaches it",
            path.display()
        ))
    })?;
    let mut out = Out::new();
    if args.json {
        out.line(&said.to_string());
    } else if let Some(lines) = said["lines"].as_array() {
        lines.iter().filter_map(Value::as_str).for_each(|line| out.line(line));
    }
    match said["error"].as_str() {
        None => Ok(()),
        Some(error) => Err(Failure::Failed(error.to_owned())),
    }
}

/// What answers requests within the process that serves. `profile` completes subscriber files.
pub(super) fn answers(profile: Profile) -> Answer {
    Rc::new(move |live, request| answer(live, &profile, request))
}

fn answer(live: &Live, profile: &Profile, request: &Value) -> Value {
    let done = match request["do"].as_str() {
        Some("sa") => {
            let views = live.look_now(|ims, now| {
                let pcscf = ims.of_role(Role::Pcscf).and_then(|id| ims.element(id).as_pcscf());
                pcscf.map(|pcscf| (pcscf.sa_set_views(), now))
            });
            Ok(views.map(|(views, now)| sets(&views, now, |set| live.sa_traffic(set))))
        }
        Some("registrations") => canonical(request).map(|impu| {
            live.look_now(|ims, now| {
                let scscf = ims.of_role(Role::Scscf).and_then(|id| ims.element(id).as_scscf());
                scscf.map(|scscf| registrations(&scscf.registration_views(impu.as_deref()), now))
            })
        }),
        Some("deregister") => named(request).and_then(|impu| {
            let reason = request["reason"].as_str().unwrap_or("deactivated");
            let reason =
                Reason::from_str(reason, false).map_err(|_| format!("\"{reason}\" found, a reason expected"))?;
            carry_out(live, &termination(impu, reason))
        }),
        Some("reauth") => named(request).and_then(|impu| {
            let within = request["within"].as_u64().unwrap_or(60);
            carry_out(live, &Order::Reauthenticate { impu, within: Duration::from_secs(within) })
        }),
        Some("profile") => named(request).and_then(|impu| change_profile(live, profile, impu, request)),
        other => Err(format!("{} found, {COMMANDS} expected", other.unwrap_or("nothing"))),
    };
    match done {
        Ok(Some(mut said)) => {
            said["ok"] = json!(true);
            said
        }
        Ok(None) => json!({"ok": false, "error": "the element that could say is not in this process"}),
        Err(error) => json!({"ok": false, "error": error}),
    }
}

/// Some reasons are those of the S-CSCF, some are those of an RTR.
fn termination(impu: String, reason: Reason) -> Order {
    let by_scscf = |impu, termination| Order::Deregister { impu, termination };
    let by_hss = |identity, reason| Order::Terminate { identity, reason };
    match reason {
        Reason::Deactivated => by_scscf(impu, Termination::Deactivated),
        Reason::Probation => by_scscf(impu, Termination::Probation),
        Reason::Rejected => by_scscf(impu, Termination::Rejected),
        Reason::PermanentTermination => by_hss(impu, ReasonCode::PermanentTermination),
        Reason::NewServerAssigned => by_hss(impu, ReasonCode::NewServerAssigned),
        Reason::ServerChange => by_hss(impu, ReasonCode::ServerChange),
        Reason::RemoveScscf => by_hss(impu, ReasonCode::RemoveScscf),
    }
}

/// The profile that a file has for an identity becomes that of the HSS, and is pushed.
fn change_profile(live: &Live, profile: &Profile, impu: String, request: &Value) -> Result<Option<Value>, String> {
    let file = request["file"].as_str().ok_or("no file found, the path of a subscriber file expected")?;
    let subscribers = load_subscribers(Path::new(file), profile).map_err(|faults| faults.to_string())?;
    let found = subscribers.store.profile(&impu);
    let (profiles, charging) = found.ok_or_else(|| format!("{file} has no single subscriber with {impu}"))?;
    let change = |element: &mut Element| match element.as_hss_mut() {
        Some(hss) => hss.change_profile(&impu, profiles.to_vec(), charging.clone()).map_err(|e| e.to_string()),
        None => Err("no HSS".to_owned()),
    };
    let Some(hss) = live.look(|ims| ims.of_role(Role::Hss)) else { return Ok(None) };
    live.command(hss, |element, _, _| change(element))?;
    carry_out(live, &Order::PushProfile { identity: impu })
}

/// `None` where the element is not in this process.
fn carry_out(live: &Live, order: &Order) -> Result<Option<Value>, String> {
    let Some(id) = live.look(|ims| ims.of_role(order.role())) else { return Ok(None) };
    live.command(id, |element, now, out| element.carry_out(now, order, out))?;
    Ok(Some(json!({"lines": [format!("the {} has begun", order.role())]})))
}

fn request(command: &CtlCommand) -> Result<Value, Failure> {
    Ok(match command {
        CtlCommand::Sa => json!({"do": "sa"}),
        CtlCommand::Registrations { impu } => json!({"do": "registrations", "impu": impu}),
        CtlCommand::Deregister { impu, reason } => {
            let reason = reason.to_possible_value().map(|value| value.get_name().to_owned());
            json!({"do": "deregister", "impu": impu, "reason": reason})
        }
        CtlCommand::Reauth { impu, within } => json!({"do": "reauth", "impu": impu, "within": within}),
        CtlCommand::Profile { impu, file } => {
            let absolute = std::path::absolute(file).map_err(|e| Failure::Usage(format!("{}: {e}", file.display())))?;
            json!({"do": "profile", "impu": impu, "file": absolute})
        }
    })
}

fn ask(path: &Path, request: &Value) -> io::Result<Value> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{request}\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    serde_json::from_str(&line).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "no answer in JSON"))
}

fn sets(views: &[SaSetView], now: Instant, traffic: impl Fn(SaSetId) -> Option<SaTraffic>) -> Value {
    let mut lines = vec![format!("{} sets of security associations", views.len())];
    let mut objects = Vec::new();
    for v in views {
        let left = v.ends.saturating_since(now).as_secs();
        let traffic = traffic(v.id);
        let age = traffic.map_or(0, |traffic| traffic.age.as_secs());
        let counters = traffic.and_then(|traffic| traffic.counters);
        let drops: Vec<(&str, u64)> = counters
            .iter()
            .flat_map(|c| c.drops().map(|(reason, n)| (reason.as_str(), n)).collect::<Vec<_>>())
            .collect();
        let counted = counters.map_or_else(String::new, |c| {
            let dropped: String = drops.iter().map(|(reason, n)| format!(", {n} dropped ({reason})")).collect();
            format!(", {} in, {} out{dropped}", c.opened, c.sealed)
        });
        // An operator's screen is no place for whole identities; JSON has them.
        let owners: Vec<String> = v.identities.iter().map(|i| format!("{:?}", Impu::from(i.as_str()))).collect();
        let nat = v.nat.map(|nat| format!(" behind {nat}")).unwrap_or_default();
        lines.push(format!(
            "{:>4}  {:<11} {}{nat} ports {}/{} spi {}/{}  <>  {} ports {}/{} spi {}/{}  {}, {age} s old, {left} s left{counted}  {}",
            v.id,
            v.phase,
            v.ue_address,
            v.ue.port_c,
            v.ue.port_s,
            v.ue.spi_c,
            v.ue.spi_s,
            v.pcscf_address,
            v.ports.0,
            v.ports.1,
            v.spis.0,
            v.spis.1,
            v.algorithms,
            owners.join(" "),
        ));
        let end = |address: &dyn ToString, spis: (u32, u32), ports: (u16, u16)| json!({"address": address.to_string(), "spi_c": spis.0, "spi_s": spis.1, "port_c": ports.0, "port_s": ports.1});
        let counted = counters.map(|c| {
            json!({"in": c.opened, "in_octets": c.opened_octets, "out": c.sealed, "out_octets": c.sealed_octets,
                "dropped": drops.iter().map(|(reason, n)| ((*reason).to_owned(), json!(n))).collect::<serde_json::Map<_, _>>()})
        });
        objects.push(json!({
            "set": v.id.0, "phase": v.phase, "algorithms": v.algorithms.to_string(), "seconds_left": left,
            "seconds_old": age, "packets": counted,
            "ue": end(&v.ue_address, (v.ue.spi_c.0, v.ue.spi_s.0), (v.ue.port_c, v.ue.port_s)),
            "nat": v.nat.map(|nat| nat.to_string()),
            "pcscf": end(&v.pcscf_address, (v.spis.0.0, v.spis.1.0), v.ports),
            "identities": v.identities,
        }));
    }
    json!({"sets": objects, "lines": lines})
}

fn registrations(views: &[RegistrationView], now: Instant) -> Value {
    let mut lines = vec![format!("{} implicit registration sets", views.len())];
    let mut objects = Vec::new();
    for v in views {
        lines.push(v.impi.clone());
        for (impu, barred) in &v.identities {
            lines.push(format!("    {impu}{}", if *barred { " (barred)" } else { "" }));
        }
        let left = |contact: &ContactView| contact.expires_at.saturating_since(now).as_secs();
        for contact in &v.contacts {
            lines.push(format!("    at {} for {} s by {}", contact.uri, left(contact), contact.path));
        }
        let identities: Vec<Value> =
            v.identities.iter().map(|(impu, barred)| json!({"impu": impu, "barred": barred})).collect();
        let contact = |c: &ContactView| json!({"uri": c.uri, "seconds_left": left(c), "path": c.path});
        let contacts: Vec<Value> = v.contacts.iter().map(contact).collect();
        objects.push(json!({"impi": v.impi, "identities": identities, "contacts": contacts}));
    }
    json!({"registrations": objects, "lines": lines})
}

/// The identity that a request names, if it names one.
fn canonical(request: &Value) -> Result<Option<String>, String> {
    let Some(impu) = request["impu"].as_str() else { return Ok(None) };
    let uri = Uri::parse(impu).map_err(|_| format!("\"{impu}\" found, a SIP or tel URI expected"))?;
    let mut canonical = String::new();
    uri.canonical(&mut canonical);
    Ok(Some(canonical))
}

fn named(request: &Value) -> Result<String, String> {
    canonical(request)?.ok_or_else(|| "no impu found, a SIP or tel URI expected".to_owned())
}

fn usual_socket() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => PathBuf::from(dir).join("imsreg.sock"),
        None => {
            let user = std::fs::metadata("/proc/self").map_or(0, |own| own.uid());
            std::env::temp_dir().join(format!("imsreg-{user}.sock"))
        }
    }
}

const COMMANDS: &str = "sa, registrations, deregister, reauth or profile";
/// An answer waits for nothing but its turn.
const PATIENCE: Duration = Duration::from_secs(10);
