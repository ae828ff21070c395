//! What is timed of our Diameter codec. `benches/cx_maa.rs` runs it alone; `check.sh bench` copies it to `src/ours.rs` of
//! the peers' bench, so that all codecs run in one process on the same message. To splice it in:
//!
//! ```text
//! Cargo.toml, [dependencies]  imsreg = { path = "<repository>", default-features = false }
//! src/main.rs                 mod ours;
//! at the end of main:
//!     ours::check(&wire);
//!     time("imsreg build+encode", || ours::encode(black_box(&mut out)));
//!     time("imsreg decode typed", || {
//!         black_box(ours::decode(black_box(&wire)));
//!     });
//! ```

use imsreg::cx::{APPLICATION, AuthItem, CxResult, Envelope, Maa};
use imsreg::diameter::{Header, Writer};

/// Fails unless `wire` is what [`decode`] reads, and what [`encode`] writes but for the order of two AVPs.
pub(crate) fn check(wire: &[u8]) {
    let mut ours = Vec::new();
    encode(&mut ours);
    assert_eq!(ours.len(), wire.len(), "the message of the peers");
    assert_eq!(decode(wire), decode(&ours));
}

/// Header, AVPs, types: everything that the S-CSCF takes from a Multimedia-Auth-Answer.
pub(crate) fn decode(bytes: &[u8]) -> (u32, CxResult, usize) {
    let header = Header::parse(bytes).expect("a sound header");
    let maa = Maa::decode(bytes).expect("a sound message");
    let item = &maa.items[0];
    let octets =
        [item.authenticate, item.xres, item.ck, item.ik].iter().flatten().map(|data| data.len()).sum::<usize>();
    let texts = [maa.impi, maa.impu, item.scheme, Some(maa.envelope.origin_host)];
    assert!(!header.request && item.number == Some(1));
    (header.end_to_end, maa.result, octets + texts.iter().flatten().map(|text| text.len()).sum::<usize>())
}

/// Builds the answer and writes it.
pub(crate) fn encode(out: &mut Vec<u8>) {
    out.clear();
    let header = Header {
        request: false,
        proxiable: true,
        error: false,
        retransmitted: false,
        command: 303,
        application: APPLICATION,
        hop_by_hop: 7,
        end_to_end: 9,
    };
    let item = AuthItem {
        number: Some(1),
        scheme: Some("Digest-AKAv1-MD5"),
        authenticate: Some(&[0x11; 32]),
        xres: Some(&[0x22; 8]),
        ck: Some(&[0x33; 16]),
        ik: Some(&[0x44; 16]),
        context: None,
        ..AuthItem::default()
    };
    let envelope = Envelope {
        session_id: "scscf.ims.mnc001.mcc001.3gppnetwork.org;1790000000;1;cx",
        origin_host: "hss.ims.mnc001.mcc001.3gppnetwork.org",
        origin_realm: "ims.mnc001.mcc001.3gppnetwork.org",
    };
    let maa = Maa {
        envelope,
        result: CxResult::SUCCESS,
        impi: Some("001010000000001@ims.mnc001.mcc001.3gppnetwork.org"),
        impu: Some("sip:001010000000001@ims.mnc001.mcc001.3gppnetwork.org"),
        items: vec![item],
    };
    let mut w = Writer::new(out, &header);
    maa.encode(&mut w);
    w.finish();
}
