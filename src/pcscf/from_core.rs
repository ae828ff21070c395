//! A response from the core on its way to the UE: the only value of that kind that Gm takes, and it holds no keys.
//!
//! CK and IK are for the P-CSCF alone (TS 24.229 clause 5.2.2.1, TS 33.203 clause 7.2). [`FromCore`] keeps the received
//! message private. Keys come out once, when it is made; its lines come out by [`FromCore::write`] and the few typed
//! readers below, and all that is written passes [`FromCore::may_pass`], whatever its header, status, method or CSeq.

use super::auth_params::{names_a_key, rewrite};
use super::keep_alive::with_keep;
use crate::aka::{Ck, Ik};
use crate::sip::header::contact::{Contact, Contacts};
use crate::sip::header::via::Via;
use crate::sip::{HeaderError, HeaderName, Line, Message, NameSet, Part, Writer};
use crate::time::Duration;
use data_encoding::HEXLOWER_PERMISSIVE;
use std::hash::Hasher;
use zeroize::Zeroizing;

/// A response from the core without its keys.
pub(super) struct FromCore<'m> {
    message: &'m Message<'m>,
    /// The texts of all keys seen, none of which may leave in whatever disguise.
    keys: Vec<&'m str>,
    nonce: Option<&'m str>,
    challenges: Vec<Challenge<'m>>,
}

/// The value of a line with authentication parameters.
struct Challenge<'m> {
    value: &'m str,
    /// It without what the S-CSCF and the P-CSCF use among themselves; `None`: it cannot be read safely.
    for_ue: Option<Vec<u8>>,
}

/// What the profile wants otherwise in answers: headers left out, keep-alives asked for.
#[derive(Debug, Default)]
pub(super) struct Strip {
    known: NameSet,
    others: Box<[Box<str>]>,
    /// How often, in seconds.
    keep_alive: Option<u64>,
}

impl Strip {
    pub(super) fn new(names: &[Box<str>], keep_alive: Option<Duration>) -> Self {
        let keep_alive = keep_alive.map(|interval| interval.as_secs().max(1));
        let mut this = Self { known: NameSet::of(&[]), others: Box::default(), keep_alive };
        let mut others = Vec::new();
        for name in names {
            match HeaderName::from_text(name) {
                HeaderName::Other => others.push(name.clone()),
                // No answer finds its way without.
                HeaderName::Via => {}
                known => this.known = this.known.union(NameSet::of(&[known])),
            }
        }
        this.others = others.into();
        this
    }

    fn holds(&self, line: &Line<'_>) -> bool {
        match line.name {
            HeaderName::Other => self.others.iter().any(|name| name.eq_ignore_ascii_case(line.name_text)),
            known => self.known.contains(known),
        }
    }
}

/// CK and IK of one challenge. `Debug` shows nothing of them.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) ck: Ck,
    pub(super) ik: Ik,
}

impl Keys {
    /// What stands for keys that nobody knows (recorded vectors, plane `none`).
    pub(super) const fn unknown() -> Self {
        Self { ck: Ck([0; 16]), ik: Ik([0; 16]) }
    }
}

impl<'m> FromCore<'m> {
    /// Takes the keys out: those of the first challenge that has both.
    pub(super) fn new(message: &'m Message<'m>) -> (Self, Option<Keys>) {
        let mut this = Self { message, keys: Vec::new(), nonce: None, challenges: Vec::new() };
        let mut found = None;
        if !message.has_any(PERHAPS_CHALLENGES) {
            return (this, found);
        }
        for line in message.lines_in(PERHAPS_CHALLENGES).filter(is_challenge) {
            let (mut ck, mut ik) = (None, None);
            let is_www = line.name == HeaderName::WwwAuthenticate;
            let mut for_ue = Vec::with_capacity(line.value.len());
            let read = rewrite(line.value, &mut for_ue, |name, value| {
                let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
                match name.len() {
                    2 if is("ck") || is("ik") => {
                        if value.len() >= SHORTEST_KEY {
                            this.keys.push(value);
                        }
                        let slot = if is("ck") { &mut ck } else { &mut ik };
                        *slot = slot.take().or_else(|| octets(value));
                    }
                    // A fault later in the value does not change what stood before it.
                    5 if is_www && is("nonce") => this.nonce = this.nonce.or(Some(value)),
                    _ => {}
                }
                KEY_PARAMETERS.iter().any(|key| is(key))
            });
            if is_www && read.is_ok() && found.is_none() {
                found = ck.zip(ik).map(|(ck, ik)| Keys { ck: Ck(*ck), ik: Ik(*ik) });
            }
            this.challenges.push(Challenge { value: line.value, for_ue: read.is_ok().then_some(for_ue) });
        }
        (this, found)
    }

    /// The status.
    pub(super) fn status(&self) -> u16 {
        self.message.status().unwrap_or(500)
    }

    /// `nonce` of the first challenge.
    pub(super) fn nonce(&self) -> Option<&'m str> {
        self.nonce
    }

    /// Shows every binding that it lists to `see`; true for `*` instead.
    pub(super) fn read_contacts(&self, see: impl FnMut(Contact<'m>)) -> Result<bool, HeaderError> {
        Contacts::read(self.message.values(HeaderName::Contact), see)
    }

    /// Expires.
    pub(super) fn expires(&self) -> Option<u32> {
        self.message.expires()
    }

    /// The elements of P-Associated-URI or Service-Route.
    pub(super) fn elements(&self, name: HeaderName) -> impl Iterator<Item = &'m str> + '_ {
        debug_assert!(matches!(name, HeaderName::PAssociatedUri | HeaderName::ServiceRoute));
        self.message.elements(name).filter(|e| !self.holds_a_key(e.as_bytes()))
    }

    /// A hash of what is learnt of a 200, which is the same for those from which the same is learnt; `None` where a key may
    /// be in it. `hasher` is that of its REGISTER.
    pub(super) fn likeness(&self, mut hasher: impl Hasher) -> Option<u64> {
        if !self.challenges.is_empty() {
            return None;
        }
        self.message.write_lines(LEARNT, &mut hasher);
        Some(hasher.finish())
    }

    /// Writes it for the UE: our Via, what is meant for the P-CSCF, and `strip` removed; `security_server` added.
    pub(super) fn write(&self, out: &mut Vec<u8>, strip: &Strip, security_server: Option<&str>) {
        let start = out.len();
        self.write_gated(out, strip, security_server, false);
        // One look at everything. Where there is something to find, it is looked for line by line.
        if !self.may_pass(&out[start..]) {
            out.truncate(start);
            self.write_gated(out, strip, security_server, true);
        }
    }

    /// `by_line`: each part passes the gate alone or is left out. Otherwise the caller judges the whole.
    fn write_gated(&self, out: &mut Vec<u8>, strip: &Strip, security_server: Option<&str>, by_line: bool) {
        let passes = |text: &[u8]| !by_line || self.may_pass(text);
        let reason = match self.message.start() {
            crate::sip::StartLine::Response { reason, .. } if passes(reason.as_bytes()) => reason,
            _ => crate::sip::emit::reason_phrase(self.status()),
        };
        let mut w = Writer::response(out, self.status(), reason);
        // RFC 6223 clause 6: the answer that makes a registration says so, no other.
        let keep_alive = strip.keep_alive.filter(|_| self.status() / 100 == 2);
        let mut vias = 0;
        let mut write = |w: &mut Writer<'_>, line: &Line<'_>| {
            if line.name == HeaderName::Via {
                vias += 1;
                self.write_via(w, line, vias == 1, keep_alive.filter(|_| vias <= 2), passes);
            } else if is_challenge(line) {
                if !strip.holds(line) {
                    self.write_challenge(w, line, passes);
                }
            } else if !FOR_US.contains(line.name) && !strip.holds(line) && passes(line.raw) {
                w.copy(line);
            }
        };
        if by_line {
            self.message.lines().for_each(|line| write(&mut w, &line));
        } else {
            for part in self.message.parts_without(FOR_US.union(strip.known), LOOKED_AT) {
                match part {
                    Part::Line(line) => write(&mut w, &line),
                    Part::Run(run) => {
                        w.copy_run(&run);
                    }
                }
            }
        }
        if let Some(list) = security_server {
            w.header(HeaderName::SecurityServer, list);
        }
        // RFC 5626 clause 5.4.
        if let Some(seconds) = keep_alive.filter(|_| self.message.has_option(HeaderName::Require, "outbound"))
            && self.message.header(HeaderName::FlowTimer).is_none()
        {
            w.header_number(HeaderName::FlowTimer, seconds);
        }
        let body = self.message.body();
        w.finish(if passes(body) { body } else { b"" });
    }

    /// Writes the response that takes its place.
    pub(super) fn write_instead(&self, out: &mut Vec<u8>, status: u16, headers: &[(HeaderName, &str)]) {
        let mut w = Writer::response(out, status, crate::sip::emit::reason_phrase(status));
        let passes = |text: &[u8]| self.may_pass(text);
        for (i, line) in self.message.lines().filter(|l| l.name == HeaderName::Via).enumerate() {
            self.write_via(&mut w, &line, i == 0, None, passes);
        }
        for line in self.message.lines().filter(|l| is_dialog_line(l.name) && self.may_leave(l)) {
            w.copy(&line);
        }
        for (name, value) in headers {
            w.header(*name, value);
        }
        w.finish(b"");
    }

    /// All Via elements but the topmost, which is ours and usually has a line of its own.
    fn write_via(
        &self,
        w: &mut Writer<'_>,
        line: &Line<'_>,
        topmost: bool,
        keep_alive: Option<u64>,
        passes: impl Fn(&[u8]) -> bool,
    ) {
        if !topmost {
            if !passes(line.raw) {
                return;
            }
            match keep_alive.and_then(|seconds| with_keep(line.value, seconds)) {
                Some(value) => w.header(HeaderName::Via, &value),
                None => w.copy(line),
            };
        } else if memchr::memchr(b',', line.value.as_bytes()).is_some()
            && let Ok((_, Some(rest))) = Via::parse(line.value)
            && passes(rest.as_bytes())
        {
            let rest = rest.trim_ascii();
            let kept = keep_alive.and_then(|seconds| with_keep(rest, seconds));
            w.header(HeaderName::Via, kept.as_deref().unwrap_or(rest));
        }
    }

    fn write_challenge(&self, w: &mut Writer<'_>, line: &Line<'_>, passes: impl Fn(&[u8]) -> bool) {
        // What cannot be read safely does not leave: the UE is better off without it.
        let challenge = self.challenges.iter().find(|challenge| challenge.value == line.value);
        let Some(for_ue) = challenge.and_then(|challenge| challenge.for_ue.as_deref()) else { return };
        let start = w.raw().len();
        let name = if line.name == HeaderName::Other { line.name_text } else { line.name.as_str() };
        w.raw().extend_from_slice(name.as_bytes());
        w.raw().extend_from_slice(b": ");
        w.raw().extend_from_slice(for_ue);
        if passes(&w.raw()[start..]) {
            w.raw().extend_from_slice(b"\r\n");
        } else {
            w.raw().truncate(start);
        }
    }

    /// The gate that every line passes.
    fn may_leave(&self, line: &Line<'_>) -> bool {
        self.may_pass(line.raw)
    }

    fn may_pass(&self, text: &[u8]) -> bool {
        !names_a_key(text) && !self.holds_a_key(text)
    }

    fn holds_a_key(&self, text: &[u8]) -> bool {
        holds_any(text, &self.keys)
    }
}

/// Headers that carry authentication parameters.
fn is_challenge(line: &Line<'_>) -> bool {
    match line.name {
        HeaderName::Other => line.name_text.eq_ignore_ascii_case("Proxy-Authentication-Info"),
        known => CHALLENGES.contains(known),
    }
}

/// True when `text` holds one of `keys` in any case.
///
/// A key can only stand in a run of octets that keys are made of. Such a run, if it is long enough, covers an octet at
/// each multiple of the length of the shortest key, so only these are looked at.
fn holds_any(text: &[u8], keys: &[&str]) -> bool {
    let Some(shortest) = keys.iter().map(|key| key.len()).min() else { return false };
    // Bit 5 makes letters lower case. Some octets that are no letters share a place then, which only costs a look.
    let mut known = [false; 256];
    for octet in keys.iter().flat_map(|key| key.as_bytes()) {
        known[usize::from(octet | 0x20)] = true;
    }
    let is_known = |octet: &u8| known[usize::from(octet | 0x20)];
    let mut begin = 0;
    while let Some(ahead) = text.get(begin..begin + shortest) {
        let before = ahead.iter().rev().take_while(|octet| is_known(octet)).count();
        begin += shortest - before;
        if before == 0 {
            continue;
        }
        let run = &text[begin..];
        let run = &run[..run.iter().take_while(|octet| is_known(octet)).count()];
        let is_key = |key: &&str| run.windows(key.len()).any(|part| part.eq_ignore_ascii_case(key.as_bytes()));
        if run.len() >= shortest && keys.iter().any(is_key) {
            return true;
        }
        begin += run.len();
    }
    false
}

const fn is_dialog_line(name: HeaderName) -> bool {
    matches!(name, HeaderName::From | HeaderName::To | HeaderName::CallId | HeaderName::CSeq)
}

fn octets(hex: &str) -> Option<Zeroizing<[u8; 16]>> {
    let mut out = Zeroizing::new([0; 16]);
    // Also false for a text of another length.
    let fits = HEXLOWER_PERMISSIVE.decode_len(hex.len()) == Ok(out.len());
    (fits && HEXLOWER_PERMISSIVE.decode_mut(hex.as_bytes(), &mut *out).is_ok()).then_some(out)
}

const CHALLENGES: NameSet =
    NameSet::of(&[HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate, HeaderName::AuthenticationInfo]);

/// What a 200 to REGISTER is read for.
const LEARNT: NameSet =
    NameSet::of(&[HeaderName::Contact, HeaderName::Expires, HeaderName::PAssociatedUri, HeaderName::ServiceRoute]);

/// Where there is none of these, there is no challenge; see [`is_challenge`].
const PERHAPS_CHALLENGES: NameSet = CHALLENGES.union(NameSet::of(&[HeaderName::Other]));

/// What ends at the P-CSCF: it is not for a UE (TS 24.229 clause 5.2.2.1).
const FOR_US: NameSet = NameSet::of(&[
    HeaderName::ContentLength,
    HeaderName::PChargingVector,
    HeaderName::PChargingFunctionAddresses,
    HeaderName::PVisitedNetworkId,
    HeaderName::Authorization,
    HeaderName::ProxyAuthorization,
    HeaderName::SecurityClient,
    HeaderName::SecurityServer,
    HeaderName::SecurityVerify,
]);

/// The rest is copied in runs.
const LOOKED_AT: NameSet = CHALLENGES.union(NameSet::of(&[HeaderName::Via, HeaderName::Other]));

/// Parameters that the S-CSCF and the P-CSCF use among themselves (TS 24.229 clause 7.2A).
pub(super) const KEY_PARAMETERS: [&str; 3] = ["ck", "ik", "integrity-protected"];

/// A shorter text would be found in messages by chance.
const SHORTEST_KEY: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const CK: &str = "d53c02758b376066fad0af7daa6df765";
    const IK: &str = "e1763cf28cc2e584588800193137ec92";

    fn response(status: &str, lines: &str, body: &str) -> String {
        format!(
            "SIP/2.0 {status}\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKp, SIP/2.0/UDP 10.0.0.7:5060;branch=z9hG4bKu\r\n\
             From: <sip:u@x>;tag=a\r\nTo: <sip:u@x>;tag=b\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\n{lines}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn to_ue(text: &str) -> (String, Option<Keys>) {
        let message = Message::parse(text.as_bytes()).expect("a message");
        let (from_core, keys) = FromCore::new(&message);
        let mut out = Vec::new();
        from_core.write(
            &mut out,
            &Strip::new(&["X-Strip".into(), "Subject".into()], None),
            Some("ipsec-3gpp;alg=hmac-sha-1-96"),
        );
        (String::from_utf8(out).unwrap(), keys)
    }

    fn assert_clean(text: &str) {
        let lower = text.to_ascii_lowercase();
        assert!(!lower.contains(CK) && !lower.contains(IK), "a key left: {text}");
        assert!(!names_a_key(text.as_bytes()), "a name of a key left: {text}");
    }

    #[test]
    fn keys_come_out_once_and_the_rest_goes_on() {
        let challenge =
            format!("WWW-Authenticate: Digest realm=\"x\",nonce=\"n\",ck=\"{CK}\",ik=\"{IK}\",qop=\"auth\"\r\n");
        let (text, keys) = to_ue(&response(
            "401 Unauthorized",
            &(challenge + "P-Charging-Vector: a\r\nx-STRIP: 1\r\ns: STRIP\r\n"),
            "",
        ));
        let keys = keys.unwrap();
        assert_eq!((keys.ck.0[0], keys.ik.0[15]), (0xd5, 0x92));
        assert_clean(&text);
        assert!(text.contains("\r\nWWW-Authenticate: Digest realm=\"x\",nonce=\"n\",qop=\"auth\"\r\n"), "{text}");
        assert!(text.contains("\r\nVia: SIP/2.0/UDP 10.0.0.7:5060;branch=z9hG4bKu\r\n"), "{text}");
        assert!(!text.contains("z9hG4bKp") && !text.contains("P-Charging") && !text.contains("STRIP"), "{text}");
        assert!(text.contains("\r\nSecurity-Server: ipsec-3gpp;alg=hmac-sha-1-96\r\n"));
    }

    /// Field lesson 1, in every dress that we could think of.
    #[test]
    fn lesson_01_no_key_passes_in_whatever_line_status_or_spelling() {
        let pair = format!("ck=\"{CK}\",ik=\"{IK}\"");
        let upper = format!("CK={},IK = {}", CK.to_uppercase(), IK.to_uppercase());
        let lines = [
            format!("WWW-Authenticate: Digest {pair}\r\n"),
            format!("www-AUTHENTICATE : DIGEST realm=\"a,b\", {upper},nonce=\"n\"\r\n"),
            format!("WWW-Authenticate: Digest realm=x,{pair}, Digest realm=y,{pair}\r\n"),
            format!("WWW-Authenticate: Digest realm=x,{pair}\r\nWWW-Authenticate: Digest realm=y,{upper}\r\n"),
            format!("WWW-Authenticate: Digest realm=x\r\n ,ck\r\n =\r\n\t\"{CK}\"\r\n , ik=\r\n \"{IK}\"\r\n"),
            format!("WWW-Authenticate: Digest realm=\"open, {pair}\r\n"),
            format!("WWW-Authenticate: Digest realm=\"x\\\", {pair}\r\n"),
            format!("WWW-Authenticate: {pair}\r\n"),
            format!("Proxy-Authenticate: Digest realm=x,{pair}\r\n"),
            format!("Authentication-Info: {pair},nextnonce=\"n\"\r\n"),
            format!("Proxy-Authentication-Info: {pair}\r\n"),
            format!("Authorization: Digest {pair}\r\n"),
            format!("X-Debug: {pair}\r\n"),
            format!("X-Debug: keys {CK}/{IK}\r\nWWW-Authenticate: Digest realm=x,{pair}\r\n"),
            format!("Warning: 399 core \"{CK}\"\r\nWWW-Authenticate: Digest realm=x,{upper}\r\n"),
            format!("P-Associated-URI: <sip:a@b;ck={CK}>\r\n"),
            format!("Contact: <sip:a@b>;ik={IK};expires=1\r\n"),
        ];
        for status in ["401 Unauthorized", "200 OK", "407 x", "403 Forbidden", "500 E", "603 D", "302 M"] {
            for line in &lines {
                assert_clean(&to_ue(&response(status, line, "")).0);
            }
        }
        let challenge = format!("WWW-Authenticate: Digest realm=x,{pair}\r\n");
        assert_clean(&to_ue(&response("401 Unauthorized", &challenge, &format!("key {CK}"))).0);
        assert_clean(&to_ue(&response("401 Unauthorized", "", &pair)).0);
        assert_clean(&to_ue(&response(&format!("401 {pair}"), &challenge, "")).0);
    }

    #[test]
    fn what_takes_its_place_holds_no_keys_either() {
        let text = response("401 Unauthorized", &format!("WWW-Authenticate: Digest ck=\"{CK}\",ik=\"{IK}\"\r\n"), "")
            .replace("tag=b", &format!("tag={CK}"));
        let message = Message::parse(text.as_bytes()).unwrap();
        let mut out = Vec::new();
        FromCore::new(&message).0.write_instead(&mut out, 500, &[(HeaderName::Require, "sec-agree")]);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("SIP/2.0 500 Server Internal Error\r\nVia: SIP/2.0/UDP 10.0.0.7"), "{text}");
        assert_clean(&text);
    }

    #[test]
    fn a_key_is_found_wherever_it_stands() {
        for key in [CK, IK, "aaaaaaaa", "abcabcab", &"0123456789".repeat(30)] {
            for lead in 0..70 {
                for around in [["a", "b"], ["-", "-"], ["-", "a"], ["a", "-"]] {
                    let [before, after] = [around[0].repeat(lead), around[1].repeat(70 - lead)];
                    let text = format!("{before}{}{after}", key.to_uppercase());
                    assert!(holds_any(text.as_bytes(), &[key]), "{lead}");
                    assert!(holds_any(text.as_bytes(), &["0123456789abcdef", key]), "{lead}");
                    let cut = &text[..lead + key.len() - 1];
                    assert_eq!(holds_any(cut.as_bytes(), &[key]), cut.to_lowercase().contains(key), "{lead}");
                }
            }
        }
    }

    #[test]
    fn keys_of_the_wrong_form_are_no_keys() {
        for pair in ["ck=\"12\",ik=\"34\"", "ck=\"\"", &format!("ck=\"{CK}\""), &format!("ck={CK}0,ik={IK}")] {
            let line = format!("WWW-Authenticate: Digest realm=x,{pair}\r\n");
            let (text, keys) = to_ue(&response("401 Unauthorized", &line, ""));
            assert!(keys.is_none(), "{pair}");
            assert_clean(&text);
        }
    }
}
