//! `imsreg ctl` and its other end: what a running `imsreg serve` does and shows on request.

use super::Failure;
use super::args::{CtlArgs, CtlCommand};
use crate::event::Role;
use crate::live::{ControlSocket, Live};
use crate::pcscf::SaSetView;
use crate::scscf::{ContactView, RegistrationView};
use crate::sip::Uri;
use crate::time::Instant;
use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    if args.json {
        println!("{said}");
    } else if let Some(lines) = said["lines"].as_array() {
        lines.iter().filter_map(Value::as_str).for_each(|line| println!("{line}"));
    }
    match said["error"].as_str() {
        None => Ok(()),
        Some(error) => Err(Failure::Failed(error.to_owned())),
    }
}

/// Answers one request, within the process that serves.
pub(super) fn answer(live: &Live, request: &Value) -> Value {
    let done = match request["do"].as_str() {
        Some("sa") => Ok(live.look_now(|ims, now| {
            let pcscf = ims.of_role(Role::Pcscf).and_then(|id| ims.element(id).as_pcscf());
            pcscf.map(|pcscf| sets(&pcscf.sa_set_views(), now))
        })),
        Some("registrations") => canonical(request).map(|impu| {
            live.look_now(|ims, now| {
                let scscf = ims.of_role(Role::Scscf).and_then(|id| ims.element(id).as_scscf());
                scscf.map(|scscf| registrations(&scscf.registration_views(impu.as_deref()), now))
            })
        }),
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

fn request(command: &CtlCommand) -> Result<Value, Failure> {
    Ok(match command {
        CtlCommand::Sa => json!({"do": "sa"}),
        CtlCommand::Registrations { impu } => json!({"do": "registrations", "impu": impu}),
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

fn sets(views: &[SaSetView], now: Instant) -> Value {
    let mut lines = vec![format!("{} sets of security associations", views.len())];
    let mut objects = Vec::new();
    for v in views {
        let left = v.ends.saturating_since(now).as_secs();
        lines.push(format!(
            "{:>4}  {:<11} {} ports {}/{} spi {}/{}  <>  {} ports {}/{} spi {}/{}  {}, {left} s left  {}",
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
            v.identities.join(" "),
        ));
        let end = |address: &dyn ToString, spis: (u32, u32), ports: (u16, u16)| json!({"address": address.to_string(), "spi_c": spis.0, "spi_s": spis.1, "port_c": ports.0, "port_s": ports.1});
        objects.push(json!({
            "set": v.id.0, "phase": v.phase, "algorithms": v.algorithms.to_string(), "seconds_left": left,
            "ue": end(&v.ue_address, (v.ue.spi_c.0, v.ue.spi_s.0), (v.ue.port_c, v.ue.port_s)),
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

fn usual_socket() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => PathBuf::from(dir).join("imsreg.sock"),
        None => {
            let user = std::fs::metadata("/proc/self").map_or(0, |own| own.uid());
            std::env::temp_dir().join(format!("imsreg-{user}.sock"))
        }
    }
}

const COMMANDS: &str = "sa or registrations";
/// An answer waits for nothing but its turn.
const PATIENCE: Duration = Duration::from_secs(10);
