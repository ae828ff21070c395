//! Globally routable user agent URIs (RFC 5627, TS 24.229 clause 5.4.7A): names of one device of a user.
//!
//! Nothing is stored for them. A public GRUU is the identity and the device; a temporary one is, encrypted, where the
//! binding is, its identity, and the Call-ID and CSeq of the REGISTER that it was given for. It is valid for as long as
//! the newest binding of that device is of the same Call-ID (RFC 5627 clause 5.2).

use super::Scscf;
use super::binding::Binding;
use super::compact::Compact;
use super::refusal::Refusal;
use super::registrar::{Registrar, canonical};
use super::table::Id;
use crate::random::Random;
use crate::sip::Uri;
use aes::Aes128;
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use data_encoding::HEXLOWER;
use foldhash::fast::FixedState;
use sha2::{Digest, Sha256};
use std::fmt::{self, Write};
use std::hash::BuildHasher;

/// The cipher of temporary GRUUs, made when the first one is given.
#[derive(Default)]
pub(super) struct Gruus(Option<Box<Cipher>>);

/// What makes and reads temporary GRUUs.
pub(super) struct Cipher(Aes128);

/// What a GRUU names.
pub(super) struct Device {
    /// The identity, canonical.
    pub(super) impu: String,
    /// `gr` of the public GRUU.
    pub(super) gr: String,
}

impl Scscf {
    /// The device that a URI names; `None`: it is no GRUU.
    pub(super) fn device_named(&self, uri: &Uri<'_>) -> Result<Option<Device>, Refusal> {
        if is_temporary(uri) {
            return self.device_of_temporary(uri).map(Some).ok_or(Refusal::NoSuchGruu);
        }
        let Some(gr) = uri.params.value("gr") else { return Ok(None) };
        let mut impu = String::new();
        uri.canonical(&mut impu);
        Ok(Some(Device { impu, gr: gr.to_owned() }))
    }

    fn device_of_temporary(&self, uri: &Uri<'_>) -> Option<Device> {
        let sealed = uri.user?.strip_prefix(TEMPORARY)?;
        let sealed: Block = HEXLOWER.decode(sealed.as_bytes()).ok()?.try_into().ok()?;
        let Sealed { registration, call_id, identity, .. } = self.gruus.0.as_deref()?.open(sealed);
        let entry = self.registrar.get(registration)?;
        let (impu, _) =
            self.registrar.identities(entry).find(|(impu, _)| hashed(&canonical(impu.clone())) == identity)?;
        let compact = &self.registrar.compact;
        let bindings = self.registrar.bindings(registration);
        let instance = bindings.iter().find(|b| b.sequence(compact).0 == call_id)?.instance(compact)?;
        let newest = bindings.iter().rfind(|b| b.instance(compact).as_ref() == Some(&instance))?;
        (newest.sequence(compact).0 == call_id).then(|| Device { impu: canonical(impu), gr: gr(&instance) })
    }

    /// Public and temporary GRUU of a binding for an identity of its set, and the CSeq since which the latter is valid.
    pub(super) fn gruus_of(&self, registration: Id, binding: &Binding, impu: &str) -> Option<(String, String, u32)> {
        let first_cseq = binding.first_cseq()?;
        let compact = &self.registrar.compact;
        let (instance, sequence) = (binding.instance(compact)?, binding.sequence(compact));
        let temporary = self.gruus.0.as_deref()?.temporary(registration, sequence, &canonical(impu.to_owned()));
        let public = public(impu, &instance)?;
        Some((public, format!("sip:{temporary}@{};gr", self.route_base), first_cseq))
    }
}

impl Gruus {
    /// The cipher.
    pub(super) fn get(&mut self, random: &mut Random) -> &Cipher {
        self.0.get_or_insert_with(|| Box::new(Cipher(Aes128::new(&Array::from(random.bytes::<16>())))))
    }
}

impl Cipher {
    /// Appends the parameters of the Contact of a 200: for the identity registered, or for the default one where that is
    /// barred and nobody can be called by it.
    pub(super) fn write(
        &self,
        registrar: &Registrar,
        id: Id,
        binding: &Binding,
        impu: &str,
        host: &str,
        out: &mut Vec<u8>,
    ) {
        let Some(registration) = registrar.get(id).filter(|_| binding.first_cseq().is_some()) else { return };
        let Some(instance) = binding.instance(&registrar.compact) else { return };
        let stated =
            registrar.identities(registration).find(|(own, is_stated)| *is_stated && canonical(own.clone()) == impu);
        let identity = stated.map_or_else(|| registrar.default_impu(registration), |(own, _)| own);
        let Some(public) = public(&identity, &instance) else { return };
        let temporary = self.temporary(id, binding.sequence(&registrar.compact), &canonical(identity));
        out.extend_from_slice(
            [";pub-gruu=\"", &public, "\";temp-gruu=\"sip:", &temporary, "@", host, ";gr\""].concat().as_bytes(),
        );
    }

    /// The user part. CSeq makes it another one for each REGISTER.
    fn temporary(&self, registration: Id, (call_id, cseq): ([u8; 4], u32), impu: &str) -> String {
        let sealed = Sealed { registration, call_id, identity: hashed(impu), cseq: cseq as u16 };
        TEMPORARY.to_owned() + &HEXLOWER.encode(&self.seal(&sealed))
    }

    fn seal(&self, sealed: &Sealed) -> Block {
        let mut block = Block::default();
        block[..8].copy_from_slice(&sealed.registration.to_bits().to_be_bytes());
        block[8..12].copy_from_slice(&sealed.call_id);
        block[12..14].copy_from_slice(&sealed.identity);
        block[14..].copy_from_slice(&sealed.cseq.to_be_bytes());
        let mut block = Array::from(block);
        self.0.encrypt_block(&mut block);
        block.into()
    }

    /// Of what somebody made up comes the id of a registration that there is not, or the hash of another Call-ID.
    fn open(&self, block: Block) -> Sealed {
        let mut block = Array::from(block);
        self.0.decrypt_block(&mut block);
        let block: Block = block.into();
        let number = |range| u64::from_be_bytes(<[u8; 8]>::try_from(&block[range]).expect("eight octets of sixteen"));
        Sealed {
            registration: Id::from_bits(number(0..8)),
            call_id: block[8..12].try_into().expect("four octets of sixteen"),
            identity: [block[12], block[13]],
            cseq: u16::from_be_bytes([block[14], block[15]]),
        }
    }
}

/// What a temporary GRUU says under its cipher.
struct Sealed {
    registration: Id,
    /// The hash of Call-ID.
    call_id: [u8; 4],
    identity: [u8; 2],
    /// The lower half.
    cseq: u16,
}

type Block = [u8; 16];

impl fmt::Debug for Gruus {
    /// Shows no key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gruus(..)")
    }
}

/// True for what only this S-CSCF, or somebody who pretends, can have made.
pub(super) fn is_temporary(uri: &Uri<'_>) -> bool {
    uri.user.is_some_and(|user| user.starts_with(TEMPORARY)) && uri.params.get("gr") == Some(None)
}

/// True when `gr` names the device of a binding.
pub(super) fn names(wanted: &str, binding: &Binding, compact: &Compact) -> bool {
    binding.instance(compact).is_some_and(|instance| gr(&instance).eq_ignore_ascii_case(wanted))
}

/// A telephone number has no GRUU.
fn public(impu: &str, instance: &str) -> Option<String> {
    let uri = Uri::parse(impu).ok().filter(Uri::is_sip)?;
    let mut identity = String::new();
    uri.canonical(&mut identity);
    Some(identity + ";gr=" + &gr(instance))
}

/// `gr` for an instance ID. An IMEI must not become known to whoever is called or calls (RFC 7254 clause 5): a UUID that
/// is made of it stands for it, the same at all times.
fn gr(instance: &str) -> String {
    let urn = instance.trim_matches(['<', '>']);
    let is = |prefix: &str| urn.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    let mut gr = String::with_capacity(urn.len());
    if is("urn:gsma:") || is("urn:imei:") || is("urn:device-id:") {
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&Sha256::digest(urn.to_ascii_lowercase())[..16]);
        // RFC 9562 clause 5.8: version 8, variant 10.
        uuid[6] = uuid[6] & 0x0f | 0x80;
        uuid[8] = uuid[8] & 0x3f | 0x80;
        let hex = HEXLOWER.encode(&uuid);
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        return "urn:uuid:".to_owned() + &parts.join("-");
    }
    for octet in urn.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => gr.push(octet.into()),
            b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')' => gr.push(octet.into()),
            b'[' | b']' | b'/' | b':' | b'&' | b'+' | b'$' => gr.push(octet.into()),
            _ => write!(gr, "%{octet:02X}").expect("a String takes every write"),
        }
    }
    gr
}

/// Which identity of a set: two octets do, as all are of one user.
fn hashed(impu: &str) -> [u8; 2] {
    let hash = FixedState::default().hash_one(impu).to_be_bytes();
    [hash[0], hash[1]]
}

/// What the user part of a temporary GRUU begins with.
const TEMPORARY: &str = "tgruu.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_imei_is_not_shown() {
        let device = gr("<urn:gsma:imei:86774304-000024-0>");
        assert!(device.starts_with("urn:uuid:") && device.len() == 45, "{device}");
        assert_eq!(device, gr("<URN:GSMA:IMEI:86774304-000024-0>"));
        assert_eq!((&device[23..24], "89ab".contains(&device[28..29])), ("8", true), "{device}");
        assert_eq!(
            gr("<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"),
            "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
        );
        assert_eq!(gr("a b;c\"<d"), "a%20b%3Bc%22%3Cd");
    }

    #[test]
    fn a_telephone_number_has_none() {
        assert_eq!(public("tel:+1", "<urn:uuid:1>"), None);
        assert_eq!(public("sip:A@X", "<urn:uuid:1>").as_deref(), Some("sip:A@x;gr=urn:uuid:1"));
    }
}
