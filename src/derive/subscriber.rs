//! The subscriber: the implicit registration set, and the challenges with the responses that were recorded.

use super::page::{list, scalar};
use super::{Nothing, Seen, is_domain, is_identity, is_plain, nonce};
use crate::sip::header::digest::Digest;
use crate::sip::{HeaderName, Uri};
use data_encoding::BASE64;
use std::fmt::Write;

type Sip<'r> = crate::sip::Message<'r>;

pub(super) fn write(seen: &Seen<'_>, source: &str) -> Result<String, Nothing> {
    let registered = seen.requests().map(|(_, sip)| sip).chain(seen.answers().map(|(_, sip)| sip));
    let mut identities = registered.into_iter().filter_map(|sip| Some(sip.to().ok()?.uri.text));
    let impu = identities.find(|impu| is_identity(impu)).ok_or(Nothing::NoRegister)?;
    let (associated, told_by) = associated(seen);
    let mut impus: Vec<&str> = associated.clone();
    let is_barred = !impus.is_empty() && !impus.iter().any(|known| same(known, impu));
    if !impus.iter().any(|known| same(known, impu)) {
        impus.insert(0, impu);
    }
    let credentials = seen.requests().find_map(|(_, sip)| sip.authorization().ok().flatten());
    let username = credentials.as_ref().and_then(|digest| digest.username).filter(|name| !name.is_empty());
    let implied = Uri::parse(impu).map_or_else(|_| impu.to_owned(), |uri| uri.implied_impi().to_owned());
    let challenge = seen.answered(|status| matches!(status, 401 | 407));
    let challenge = challenge.and_then(|(_, sip)| sip.challenges().ok()?.into_iter().next());
    let is_aka = challenge.as_ref().is_some_and(|digest| is_aka(digest))
        || seen.requests().any(|(_, sip)| sip.header(HeaderName::SecurityClient).is_some());

    let mut out = String::new();
    let number = seen.registration.id().unwrap_or_default();
    let _ = writeln!(out, "# The subscriber of registration {number} of {}, for --hss-data.", one_line(source));
    if let Some(number) = told_by {
        let _ = writeln!(out, "# impus: P-Associated-URI of message {number}, in its order.");
    } else {
        let _ = writeln!(
            out,
            "# impus: no 200 of the trace has P-Associated-URI; more than the identity registered is not told."
        );
    }
    if is_barred {
        let _ = writeln!(out, "# The identity registered is not among them: it is barred.");
    } else if impus.first().is_some_and(|first| !same(first, impu)) {
        let _ =
            writeln!(out, "# The device registers {}, which is not the first: imsreg register --impu.", one_line(impu));
    }
    out.push_str("\nsubscribers:\n");
    if is_aka {
        aka(seen, &impus, (impu, is_barred), username.unwrap_or(&implied), &mut out);
    } else {
        password(seen, &impus, username, challenge.as_ref(), &mut out);
    }
    Ok(out)
}

fn is_aka(digest: &Digest<'_>) -> bool {
    digest.algorithm.and_then(|a| a.get(..3)).is_some_and(|a| a.eq_ignore_ascii_case("AKA"))
}

fn same(a: &str, b: &str) -> bool {
    let canonical = |text: &str| {
        let mut out = String::new();
        match Uri::parse(text) {
            Ok(uri) => uri.canonical(&mut out),
            Err(_) => out.push_str(text),
        }
        out
    };
    a == b || canonical(a) == canonical(b) && a.contains("user=phone") == b.contains("user=phone")
}

/// The addresses of P-Associated-URI, with or without commas between them, and the message.
fn associated<'r>(seen: &Seen<'r>) -> (Vec<&'r str>, Option<u64>) {
    for (message, sip) in seen.answers() {
        let mut all = Vec::new();
        for value in sip.values(HeaderName::PAssociatedUri) {
            let mut rest = value;
            while let Some((_, after)) = rest.split_once('<') {
                let (uri, after) = after.split_once('>').unwrap_or((after, ""));
                rest = after;
                if is_identity(uri) && !all.contains(&uri) && !uri.contains('*') {
                    all.push(uri);
                }
            }
        }
        if !all.is_empty() {
            return (all, Some(message.number));
        }
    }
    (Vec::new(), None)
}

fn aka(seen: &Seen<'_>, impus: &[&str], (impu, is_barred): (&str, bool), impi: &str, out: &mut String) {
    let user = impi.split('@').next().unwrap_or(impi);
    let is_imsi = (6..=15).contains(&user.len()) && user.bytes().all(|b| b.is_ascii_digit());
    if is_imsi {
        let _ = writeln!(out, "  - imsi: \"{user}\"");
    } else {
        let _ = writeln!(out, "  - imsi: \"001010000000001\"       # not told by the private identity");
    }
    let is_impi = |(user, domain): (&str, &str)| !user.is_empty() && is_domain(domain) && is_plain(impi);
    if impi.rsplit_once('@').is_some_and(is_impi) {
        let _ = writeln!(out, "    impi: {}", scalar(impi));
    }
    let _ = writeln!(out, "    impus: {}", list(impus.iter().copied()));
    if is_barred {
        let _ = writeln!(out, "    barred: {}", list([impu]));
    }
    let vectors = recorded(seen, |nonce| BASE64.decode(nonce.as_bytes()).is_ok_and(|octets| octets.len() == 32));
    if vectors.is_empty() {
        out.push_str(
            "    # No challenge with its response is in the trace: put K and OPc of the subscriber here.\n    \
             k: \"00000000000000000000000000000000\"\n    opc: \"00000000000000000000000000000000\"\n",
        );
    } else {
        out.push_str("    # K is not known: the recorded challenges, and what the UE answered. With k and opc in place of them any UE may register.\n");
        out.push_str("    recorded:\n");
        out.push_str(&vectors.concat());
    }
}

fn password(seen: &Seen<'_>, impus: &[&str], username: Option<&str>, challenge: Option<&Digest<'_>>, out: &mut String) {
    let _ = writeln!(out, "  - impus: {}", list(impus.iter().copied()));
    let Some(challenge) = challenge else {
        out.push_str("    password: unused             # nobody asked for it: scscf.unauthenticated of the profile\n");
        return;
    };
    let mut keys = Vec::new();
    let is_text = |text: &&str| !text.is_empty() && !text.contains(['"', '\\']) && !text.contains(char::is_control);
    keys.extend(username.filter(is_text).map(|name| format!("      username: {}\n", scalar(name))));
    keys.extend(challenge.realm.filter(is_text).map(|realm| format!("      realm: {}\n", scalar(realm))));
    let offers = |word: &str| challenge.qop.is_some_and(|qop| qop.split(',').any(|own| own.trim() == word));
    let qop = match (offers("auth"), offers("auth-int")) {
        (true, true) => "\"auth,auth-int\"",
        (true, false) => "auth",
        (false, true) => "auth-int",
        (false, false) => "none",
    };
    keys.push(format!("      qop: {qop}\n"));
    let known = ["MD5", "SHA-256", "SHA-512-256"];
    let algorithm = challenge.algorithm.map_or("unstated", |own| {
        known.into_iter().find(|known| known.eq_ignore_ascii_case(own)).unwrap_or("unstated")
    });
    keys.push(format!("      algorithm: {algorithm}\n"));
    let vectors = recorded(seen, |_| true);
    if vectors.is_empty() {
        out.push_str("    # No response is in the trace: put the password here.\n    password: unknown\n");
    }
    let _ = write!(out, "    digest:\n{}", keys.concat());
    if !vectors.is_empty() {
        out.push_str("      # The password is not known: the recorded challenge, and what the device answered.\n      recorded:\n");
        let indented: Vec<String> = vectors.iter().map(|line| format!("  {line}")).collect();
        out.push_str(&indented.concat());
    }
}

/// The challenges that were answered, each once.
fn recorded(seen: &Seen<'_>, is_usable: impl Fn(&str) -> bool) -> Vec<String> {
    let mut all: Vec<(&str, String)> = Vec::new();
    for (message, sip) in seen.requests() {
        let Some((nonce, response)) = answered(sip).filter(|(nonce, _)| is_usable(nonce)) else { continue };
        if !all.iter().any(|(known, _)| *known == nonce) {
            let line = format!(
                "      - {{nonce: {}, response: {}}}   # message {}\n",
                scalar(nonce),
                scalar(response),
                message.number
            );
            all.push((nonce, line));
        }
    }
    all.into_iter().map(|(_, line)| line).collect()
}

/// Nonce and response, where it is one of 32 digits and no AUTS.
fn answered<'a>(sip: &Sip<'a>) -> Option<(&'a str, &'a str)> {
    let digest = sip.authorization().ok().flatten()?;
    let response = digest.response.filter(|r| r.len() == 32 && r.bytes().all(|b| b.is_ascii_hexdigit()))?;
    if digest.auts.is_some() {
        return None;
    }
    Some((nonce(sip)?, response))
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
