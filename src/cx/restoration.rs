//! SCSCF-Restoration-Info 639: what an S-CSCF leaves with the HSS, so that it can go on after it has lost a
//! registration (TS 29.228 clause 7.25, TS 29.229 clauses 6.3.46 to 6.3.52, TS 23.380).

use super::VENDOR;
use super::envelope::{once, required};
use crate::diameter::dictionary as d;
use crate::diameter::{Avp, Fault, Writer};

/// The registration of one private identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScscfRestorationInfo<'a> {
    /// User-Name: the IMPI.
    pub impi: &'a str,
    /// One for each binding, at least one.
    pub bindings: Vec<RestorationInfo<'a>>,
    /// Registration-Time-Out: when it ends, in seconds since 1970.
    pub ends_at: Option<u64>,
    /// SIP-Authentication-Scheme.
    pub scheme: Option<&'a str>,
}

/// Restoration-Info 649: one binding. Values are those of the SIP headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestorationInfo<'a> {
    /// Path, all of it in one list.
    pub path: &'a [u8],
    /// Contact with its parameters.
    pub contact: &'a [u8],
    /// Initial-CSeq-Sequence-Number: of the REGISTER.
    pub cseq: Option<u32>,
    /// Call-ID-SIP-Header: of the REGISTER.
    pub call_id: Option<&'a [u8]>,
    /// Subscription-Info: the UE's subscription to the reg event package.
    pub subscription: Option<SubscriptionInfo<'a>>,
    /// P-CSCF-Subscription-Info: that of the P-CSCF.
    pub pcscf_subscription: Option<SubscriptionInfo<'a>>,
}

/// Subscription-Info 642 and P-CSCF-Subscription-Info 660: the dialog of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionInfo<'a> {
    /// Call-ID-SIP-Header.
    pub call_id: &'a [u8],
    /// From-SIP-Header, of the SUBSCRIBE.
    pub from: &'a [u8],
    /// To-SIP-Header, of the SUBSCRIBE, with the notifier's tag.
    pub to: &'a [u8],
    /// Record-Route; a P-CSCF's subscription has none.
    pub record_route: Option<&'a [u8]>,
    /// Contact of the subscriber.
    pub contact: &'a [u8],
}

impl<'a> ScscfRestorationInfo<'a> {
    /// Reads the AVP.
    pub fn decode(group: &Avp<'a>) -> Result<Self, Fault> {
        let (mut impi, mut bindings, mut ends_at, mut scheme) = (None, Vec::new(), None, None);
        for avp in group.group() {
            let avp = &avp?;
            match (avp.vendor, avp.code) {
                (0, d::USER_NAME) => once(&mut impi, avp, Avp::utf8)?,
                (VENDOR, d::RESTORATION_INFO) => bindings.push(RestorationInfo::decode(avp)?),
                (VENDOR, d::REGISTRATION_TIME_OUT) => once(&mut ends_at, avp, decode_time)?,
                (VENDOR, d::SIP_AUTHENTICATION_SCHEME) => once(&mut scheme, avp, Avp::utf8)?,
                _ => {}
            }
        }
        let impi = required(impi, d::USER_NAME, 0)?;
        required(bindings.first(), d::RESTORATION_INFO, VENDOR)?;
        Ok(Self { impi, bindings, ends_at, scheme })
    }

    /// Writes the AVP.
    pub fn encode(&self, w: &mut Writer<'_>) {
        w.group(d::SCSCF_RESTORATION_INFO, VENDOR, false, |w| {
            w.octets(d::USER_NAME, 0, true, self.impi.as_bytes());
            for binding in &self.bindings {
                binding.encode(w);
            }
            if let Some(at) = self.ends_at {
                w.u32(d::REGISTRATION_TIME_OUT, VENDOR, false, encode_time(at));
            }
            if let Some(scheme) = self.scheme {
                w.octets(d::SIP_AUTHENTICATION_SCHEME, VENDOR, true, scheme.as_bytes());
            }
        });
    }
}

impl<'a> RestorationInfo<'a> {
    fn decode(group: &Avp<'a>) -> Result<Self, Fault> {
        let (mut path, mut contact, mut cseq, mut call_id) = (None, None, None, None);
        let (mut subscription, mut pcscf_subscription) = (None, None);
        for avp in group.group() {
            let avp = &avp?;
            match (avp.vendor, avp.code) {
                (VENDOR, d::PATH) => once(&mut path, avp, Avp::octets)?,
                (VENDOR, d::CONTACT) => once(&mut contact, avp, Avp::octets)?,
                (VENDOR, d::INITIAL_CSEQ_SEQUENCE_NUMBER) => once(&mut cseq, avp, Avp::u32)?,
                (VENDOR, d::CALL_ID_SIP_HEADER) => once(&mut call_id, avp, Avp::octets)?,
                (VENDOR, d::SUBSCRIPTION_INFO) => once(&mut subscription, avp, SubscriptionInfo::decode)?,
                (VENDOR, d::PCSCF_SUBSCRIPTION_INFO) => once(&mut pcscf_subscription, avp, SubscriptionInfo::decode)?,
                _ => {}
            }
        }
        Ok(Self {
            path: required(path, d::PATH, VENDOR)?,
            contact: required(contact, d::CONTACT, VENDOR)?,
            cseq,
            call_id,
            subscription,
            pcscf_subscription,
        })
    }

    fn encode(&self, w: &mut Writer<'_>) {
        w.group(d::RESTORATION_INFO, VENDOR, false, |w| {
            w.octets(d::PATH, VENDOR, false, self.path).octets(d::CONTACT, VENDOR, false, self.contact);
            if let Some(cseq) = self.cseq {
                w.u32(d::INITIAL_CSEQ_SEQUENCE_NUMBER, VENDOR, false, cseq);
            }
            if let Some(call_id) = self.call_id {
                w.octets(d::CALL_ID_SIP_HEADER, VENDOR, false, call_id);
            }
            if let Some(subscription) = &self.subscription {
                subscription.encode(d::SUBSCRIPTION_INFO, w);
            }
            if let Some(subscription) = &self.pcscf_subscription {
                subscription.encode(d::PCSCF_SUBSCRIPTION_INFO, w);
            }
        });
    }
}

impl<'a> SubscriptionInfo<'a> {
    fn decode(group: &Avp<'a>) -> Result<Self, Fault> {
        let (mut call_id, mut from, mut to, mut record_route, mut contact) = (None, None, None, None, None);
        for avp in group.group() {
            let avp = &avp?;
            let slot = match (avp.vendor, avp.code) {
                (VENDOR, d::CALL_ID_SIP_HEADER) => &mut call_id,
                (VENDOR, d::FROM_SIP_HEADER) => &mut from,
                (VENDOR, d::TO_SIP_HEADER) => &mut to,
                (VENDOR, d::RECORD_ROUTE) => &mut record_route,
                (VENDOR, d::CONTACT) => &mut contact,
                _ => continue,
            };
            once(slot, avp, Avp::octets)?;
        }
        Ok(Self {
            call_id: required(call_id, d::CALL_ID_SIP_HEADER, VENDOR)?,
            from: required(from, d::FROM_SIP_HEADER, VENDOR)?,
            to: required(to, d::TO_SIP_HEADER, VENDOR)?,
            record_route,
            contact: required(contact, d::CONTACT, VENDOR)?,
        })
    }

    fn encode(&self, code: u32, w: &mut Writer<'_>) {
        w.group(code, VENDOR, false, |w| {
            w.octets(d::CALL_ID_SIP_HEADER, VENDOR, false, self.call_id);
            w.octets(d::FROM_SIP_HEADER, VENDOR, false, self.from).octets(d::TO_SIP_HEADER, VENDOR, false, self.to);
            if let Some(record_route) = self.record_route {
                w.octets(d::RECORD_ROUTE, VENDOR, false, record_route);
            }
            w.octets(d::CONTACT, VENDOR, false, self.contact);
        });
    }
}

/// Feature-List 1 of Supported-Features; 0: another list.
pub(super) fn features(features: &Avp<'_>) -> Result<u32, Fault> {
    let (mut list, mut bits) = (None, None);
    for avp in features.group() {
        let avp = &avp?;
        match (avp.vendor, avp.code) {
            (VENDOR, d::FEATURE_LIST_ID) => once(&mut list, avp, Avp::u32)?,
            (VENDOR, d::FEATURE_LIST) => once(&mut bits, avp, Avp::u32)?,
            _ => {}
        }
    }
    Ok(bits.filter(|_| list == Some(1)).unwrap_or(0))
}

/// Writes Supported-Features with these bits of Feature-List 1.
pub(super) fn encode_features(bits: u32, w: &mut Writer<'_>) {
    w.group(d::SUPPORTED_FEATURES, VENDOR, false, |w| {
        w.u32(d::VENDOR_ID, 0, true, VENDOR);
        w.u32(d::FEATURE_LIST_ID, VENDOR, false, 1).u32(d::FEATURE_LIST, VENDOR, false, bits);
    });
}

/// An AVP of type Time counts from 1900, and from 2036 begins again (RFC 6733 clause 4.3.1).
fn decode_time(avp: &Avp<'_>) -> Result<u64, Fault> {
    let since_1900 = u64::from(avp.u32()?);
    let era = if since_1900 < 1 << 31 { 1 << 32 } else { 0 };
    Ok(era + since_1900 - UNIX_EPOCH)
}

const fn encode_time(unix_secs: u64) -> u32 {
    (unix_secs + UNIX_EPOCH) as u32
}

/// 1970-01-01 in seconds since 1900-01-01.
const UNIX_EPOCH: u64 = 2_208_988_800;
/// SiFC, bit 0 of Feature-List 1.
pub(super) const SHARED_IFC_FEATURE: u32 = 1;
/// IMSRestorationInd, bit 2 of Feature-List 1 (TS 29.229 table 7.1.1).
pub(super) const RESTORATION_FEATURE: u32 = 1 << 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diameter::Avps;

    const SUBSCRIPTION: SubscriptionInfo<'_> = SubscriptionInfo {
        call_id: b"sub@10.0.0.1",
        from: b"<sip:alice@example>;tag=1",
        to: b"<sip:alice@example>;tag=2",
        record_route: Some(b"<sip:pcscf;lr>"),
        contact: b"<sip:10.0.0.1:5062>",
    };

    fn whole() -> ScscfRestorationInfo<'static> {
        let binding = RestorationInfo {
            path: b"<sip:token@pcscf;lr>",
            contact: b"<sip:10.0.0.1:5062>;+sip.instance=\"<urn:uuid:1>\"",
            cseq: Some(2),
            call_id: Some(b"reg@10.0.0.1"),
            subscription: Some(SUBSCRIPTION),
            pcscf_subscription: Some(SubscriptionInfo { record_route: None, ..SUBSCRIPTION }),
        };
        let bare = RestorationInfo {
            cseq: None,
            call_id: None,
            subscription: None,
            pcscf_subscription: None,
            ..binding.clone()
        };
        let (ends_at, scheme) = (Some(1_800_000_000), Some("Digest-AKAv1-MD5"));
        ScscfRestorationInfo { impi: "alice@example", bindings: vec![binding, bare], ends_at, scheme }
    }

    fn written(info: &ScscfRestorationInfo<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        info.encode(&mut Writer::avps(&mut bytes));
        bytes
    }

    fn read(bytes: &[u8]) -> Result<ScscfRestorationInfo<'_>, Fault> {
        let avp = Avps::new(bytes).next().expect("one AVP")?;
        ScscfRestorationInfo::decode(&avp)
    }

    #[test]
    fn what_is_written_is_read() {
        let info = whole();
        assert_eq!(read(&written(&info)), Ok(info));
    }

    #[test]
    fn what_must_be_there_is_missed() {
        let of = |write: &dyn Fn(&mut Writer<'_>)| {
            let mut bytes = Vec::new();
            Writer::avps(&mut bytes).group(d::SCSCF_RESTORATION_INFO, VENDOR, false, |w| write(w));
            read(&bytes).map(|_| ()).map_err(|fault| fault.code)
        };
        assert_eq!(of(&|w| whole().bindings[1].encode(w)), Err(5005), "no IMPI");
        let impi = |w: &mut Writer<'_>| {
            w.octets(d::USER_NAME, 0, true, b"alice@example");
        };
        assert_eq!(of(&impi), Err(5005), "no binding");
        let no_path = of(&|w| {
            impi(w);
            w.group(d::RESTORATION_INFO, VENDOR, false, |w| {
                w.octets(d::CONTACT, VENDOR, false, b"<sip:a>");
            });
        });
        assert_eq!(no_path, Err(5005), "no Path");
    }

    #[test]
    fn time_goes_on_after_2036() {
        for at in [1_800_000_000, 2_085_978_495, 2_085_978_496, 2_200_000_000] {
            let info = ScscfRestorationInfo { ends_at: Some(at), ..whole() };
            assert_eq!(read(&written(&info)).map(|info| info.ends_at), Ok(Some(at)));
        }
    }
}
