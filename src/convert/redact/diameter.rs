//! Diameter messages with replacements, AVP by AVP.

use super::scan::{Kind, Scan};
use super::vectors::Vectors;
use crate::diameter::dictionary::{self, Kind as Type};
use crate::diameter::{Avps, Header, header};
use std::net::{IpAddr, Ipv4Addr};

/// A message with replacements.
pub(super) fn message(scan: &mut Scan, vectors: &mut Vectors, bytes: &[u8]) -> Vec<u8> {
    let Some(head) = Header::read(bytes) else { return scan.noise(bytes) };
    if !head.request {
        learn(vectors, bytes);
    }
    let mut out = bytes[..header::LEN].to_vec();
    let end = bytes.len().min(usize::max(header::LEN, length(&bytes[1..4])));
    avps(scan, &bytes[header::LEN..end], !head.request, &mut out);
    let len = (out.len() as u32).to_be_bytes();
    // A message that was cut says how long it was.
    if length(&bytes[1..4]) <= bytes.len() {
        out[1..4].copy_from_slice(&len[1..]);
    }
    out
}

fn avps(scan: &mut Scan, mut rest: &[u8], is_answer: bool, out: &mut Vec<u8>) {
    while let Some(head) = rest.first_chunk::<8>() {
        let code = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let len = length(&head[5..]);
        let has_vendor = head[4] & 0x80 != 0;
        let start = if has_vendor { 12 } else { 8 };
        let Some(data) = rest.get(start..len) else { break };
        let vendor = if has_vendor { u32::from_be_bytes([rest[8], rest[9], rest[10], rest[11]]) } else { 0 };
        let at = out.len();
        out.extend_from_slice(&rest[..start]);
        self::data(scan, code, vendor, data, is_answer, out);
        let made = ((out.len() - at) as u32).to_be_bytes();
        out[at + 5..at + 8].copy_from_slice(&made[1..]);
        let padded = len.next_multiple_of(4);
        if rest.len() >= padded {
            out.resize(at + (out.len() - at).next_multiple_of(4), 0);
        }
        rest = rest.get(padded..).unwrap_or_default();
    }
    // What is no AVP may be anything.
    let noise = scan.noise(rest);
    out.extend_from_slice(&noise);
}

fn data(scan: &mut Scan, code: u32, vendor: u32, data: &[u8], is_answer: bool, out: &mut Vec<u8>) {
    match (vendor, code) {
        (dictionary::TGPP, dictionary::CONFIDENTIALITY_KEY | dictionary::INTEGRITY_KEY) => out.extend(scan.key(data)),
        // XRES of an answer; in a request RAND and AUTS.
        (dictionary::TGPP, dictionary::SIP_AUTHORIZATION) if is_answer => out.extend(scan.key(data)),
        (dictionary::TGPP, dictionary::SIP_AUTHENTICATE | dictionary::SIP_AUTHORIZATION) => out.extend_from_slice(data),
        (0, dictionary::DIGEST_HA1) => {
            let made = data_encoding::HEXLOWER.encode(&scan.key(data));
            out.extend_from_slice(&made.as_bytes()[..data.len()]);
        }
        (dictionary::TGPP, MSISDN) => out.extend(msisdn(scan, data)),
        (0, dictionary::FRAMED_IP_ADDRESS) if data.len() == 4 => {
            let address = Ipv4Addr::new(data[0], data[1], data[2], data[3]);
            if let IpAddr::V4(made) = scan.addresses.replace(&scan.cipher, address.into()) {
                out.extend_from_slice(&made.octets());
            }
        }
        (0, dictionary::FRAMED_IPV6_PREFIX) if (10..=18).contains(&data.len()) => {
            let mut octets = [0; 16];
            octets[..data.len() - 2].copy_from_slice(&data[2..]);
            if let IpAddr::V6(made) = scan.addresses.replace(&scan.cipher, IpAddr::from(octets)) {
                out.extend_from_slice(&data[..2]);
                out.extend_from_slice(&made.octets()[..data.len() - 2]);
            }
        }
        (0, dictionary::USER_NAME) => match std::str::from_utf8(data) {
            Ok(name) if !name.contains('@') && !name.bytes().all(|b| b.is_ascii_digit()) => {
                out.extend_from_slice(scan.name(name).as_bytes());
            }
            _ => text(scan, data, Kind::Identities, out),
        },
        (0, dictionary::SESSION_ID | dictionary::ORIGIN_HOST | DESTINATION_HOST | ROUTE_RECORD) => {
            text(scan, data, Kind::Technical, out);
        }
        _ => match dictionary::lookup(code, vendor).map(|definition| definition.kind) {
            Some(Type::Grouped) => avps(scan, data, is_answer, out),
            Some(Type::Unsigned32 | Type::Unsigned64 | Type::Enumerated | Type::Time) => out.extend_from_slice(data),
            Some(Type::Address) => address(scan, data, out),
            Some(_) => text(scan, data, Kind::Identities, out),
            None => unlisted(scan, data, is_answer, out),
        },
    }
}

/// Data of an AVP that nobody describes: what it looks like tells.
fn unlisted(scan: &mut Scan, data: &[u8], is_answer: bool, out: &mut Vec<u8>) {
    if let Some(known) = scan.addresses.known(&scan.cipher, data) {
        return out.extend(known);
    }
    let is_text = std::str::from_utf8(data)
        .is_ok_and(|text| !text.bytes().any(|b| b.is_ascii_control() && !b.is_ascii_whitespace()));
    match (data, data.len()) {
        ([0, 1, ..], 6) | ([0, 2, ..], 18) => address(scan, data, out),
        _ if is_text => text(scan, data, Kind::Identities, out),
        (_, 0..=8) => out.extend_from_slice(data),
        _ if Avps::new(data).check().is_ok() => avps(scan, data, is_answer, out),
        _ => out.extend(scan.noise(data)),
    }
}

/// Text with replacements; octets that are none say nothing afterwards.
fn text(scan: &mut Scan, data: &[u8], kind: Kind, out: &mut Vec<u8>) {
    match std::str::from_utf8(data) {
        Ok(text) if !text.bytes().any(|b| b.is_ascii_control() && !b.is_ascii_whitespace()) => {
            let mut made = String::new();
            scan.text(text, kind, &mut made);
            out.extend_from_slice(made.as_bytes());
        }
        _ => out.extend(scan.noise(data)),
    }
}

fn address(scan: &mut Scan, data: &[u8], out: &mut Vec<u8>) {
    let found = match data {
        [0, 1, a, b, c, d] => Some(IpAddr::from([*a, *b, *c, *d])),
        [0, 2, octets @ ..] => <[u8; 16]>::try_from(octets).ok().map(IpAddr::from),
        _ => None,
    };
    match found.map(|address| scan.addresses.replace(&scan.cipher, address)) {
        Some(IpAddr::V4(made)) => out.extend([&[0, 1][..], &made.octets()].concat()),
        Some(IpAddr::V6(made)) => out.extend([&[0, 2][..], &made.octets()].concat()),
        None => out.extend(scan.noise(data)),
    }
}

/// Digits in halves of octets, the lower first (TS 29.329 clause 6.3.2).
fn msisdn(scan: &mut Scan, data: &[u8]) -> Vec<u8> {
    let nibbles = data.iter().flat_map(|octet| [octet & 15, octet >> 4]);
    let digits: String = nibbles.map_while(|nibble| char::from_digit(nibble.into(), 10)).collect();
    let made: Vec<u8> = scan.digits(&digits).bytes().map(|digit| digit - b'0').collect();
    let mut out: Vec<u8> = made.chunks(2).map(|pair| pair[0] | pair.get(1).copied().unwrap_or(15) << 4).collect();
    out.resize(data.len(), 0xff);
    out
}

/// RAND, XRES, CK and IK of a Multimedia-Auth-Answer.
fn learn(vectors: &mut Vectors, bytes: &[u8]) {
    for avp in Avps::of(bytes).map_while(Result::ok) {
        if (avp.code, avp.vendor) != (dictionary::SIP_AUTH_DATA_ITEM, dictionary::TGPP) {
            continue;
        }
        let find = |code| avp.group().find(code, dictionary::TGPP).map(|avp| avp.data);
        let key = |code| find(code).and_then(|data| <[u8; 16]>::try_from(data).ok());
        let rand = find(dictionary::SIP_AUTHENTICATE).and_then(|data| data.first_chunk()).copied();
        if let (Some(rand), Some(res)) = (rand, find(dictionary::SIP_AUTHORIZATION)) {
            vectors.learn(rand, res, key(dictionary::CONFIDENTIALITY_KEY), key(dictionary::INTEGRITY_KEY));
        }
    }
}

fn length(octets: &[u8]) -> usize {
    octets.first_chunk::<3>().map_or(0, |octets| u32::from_be_bytes([0, octets[0], octets[1], octets[2]]) as usize)
}

const MSISDN: u32 = 701;
const DESTINATION_HOST: u32 = 293;
const ROUTE_RECORD: u32 = 282;
