//! AVPs of a Diameter message, changed.

use crate::diameter::header::LEN;
use crate::diameter::{Avp, Avps, Writer};

/// What becomes of an AVP.
pub(super) enum Change<'a> {
    /// Its data; one that is not there is added behind the others.
    Set(&'a [u8]),
    /// It goes.
    Remove,
    /// One of its octets changes.
    Flip(usize),
}

/// The message with the AVP at `path` changed, the codes from the outermost.
pub(super) fn change(message: &[u8], path: &[u32], change: &Change<'_>) -> Vec<u8> {
    let Some(header) = message.get(..LEN) else { return message.to_vec() };
    let mut out = header.to_vec();
    walk(Avps::of(message), path, change, &mut out);
    let len = u32::try_from(out.len()).unwrap_or(u32::MAX).to_be_bytes();
    out[1..4].copy_from_slice(&len[1..]);
    out
}

/// The data of the AVP at `path`.
pub(super) fn find<'m>(message: &'m [u8], path: &[u32]) -> Option<&'m [u8]> {
    let mut avps = Avps::of(message);
    let (last, groups) = path.split_last()?;
    for code in groups {
        avps = avps.find(*code, vendor(*code))?.group();
    }
    avps.find(*last, vendor(*last)).map(|avp| avp.data)
}

fn walk(avps: Avps<'_>, path: &[u32], change: &Change<'_>, out: &mut Vec<u8>) {
    let [code, rest @ ..] = path else { return };
    let mut is_there = false;
    for avp in avps.map_while(Result::ok) {
        if avp.code != *code {
            Writer::avps(out).raw(avp.raw);
            continue;
        }
        is_there = true;
        if !rest.is_empty() {
            let mut inner = Vec::new();
            walk(avp.group(), rest, change, &mut inner);
            write(out, &avp, &inner);
            continue;
        }
        match change {
            Change::Set(data) => write(out, &avp, data),
            Change::Remove => {}
            Change::Flip(octet) => {
                let mut data = avp.data.to_vec();
                if let Some(octet) = data.get_mut(*octet) {
                    *octet ^= 1;
                }
                write(out, &avp, &data);
            }
        }
    }
    if let (false, Change::Set(data), []) = (is_there, change, rest) {
        Writer::avps(out).octets(*code, vendor(*code), true, data);
    }
}

fn write(out: &mut Vec<u8>, avp: &Avp<'_>, data: &[u8]) {
    Writer::avps(out).octets(avp.code, avp.vendor, avp.mandatory, data);
}

/// AVPs from 600 on are those of 3GPP (TS 29.229 table 6.3.1), others those of RFC 6733.
const fn vendor(code: u32) -> u32 {
    if code >= 600 { VENDOR_3GPP } else { 0 }
}

pub(super) const VENDOR_3GPP: u32 = 10_415;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diameter::Header;

    #[test]
    fn inside_of_groups() {
        let header = Header {
            request: false,
            proxiable: true,
            error: false,
            retransmitted: false,
            command: 303,
            application: 1,
            hop_by_hop: 1,
            end_to_end: 1,
        };
        let mut message = Vec::new();
        let mut writer = Writer::new(&mut message, &header);
        writer.octets(1, 0, true, b"user");
        writer.group(612, VENDOR_3GPP, true, |group| {
            group.octets(609, VENDOR_3GPP, true, &[0; 5]);
        });
        writer.finish();
        let flipped = change(&message, &[612, 609], &Change::Flip(4));
        assert_eq!(
            Avps::of(&flipped).find(612, VENDOR_3GPP).unwrap().group().find(609, VENDOR_3GPP).unwrap().data,
            [0, 0, 0, 0, 1]
        );
        assert_eq!(flipped.len(), message.len());
        let shorter = change(&message, &[612, 609], &Change::Remove);
        assert!(Header::parse(&shorter).is_ok() && shorter.len() == message.len() - 20);
        let longer = change(&message, &[268], &Change::Set(&2001u32.to_be_bytes()));
        assert_eq!(Avps::of(&longer).find(268, 0).unwrap().u32(), Ok(2001));
    }
}
