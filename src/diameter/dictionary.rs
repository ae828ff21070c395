//! Codes, vendors, types and M bits of RFC 6733, RFC 4590 and TS 29.229.
//!
//! A code constant goes with the vendor of its section: 0 or [`TGPP`]. M is what we send; on receipt it only decides
//! whether an AVP that is not listed here may be ignored.

/// What the dictionary knows of an AVP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Definition {
    /// Code.
    pub code: u32,
    /// Vendor id, 0: base.
    pub vendor: u32,
    /// As the standard spells it.
    pub name: &'static str,
    /// Type of the data.
    pub kind: Kind,
    /// Whether M is set when we send it.
    pub mandatory: bool,
}

/// Type of the data of an AVP (RFC 6733 clauses 4.2 and 4.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum Kind {
    OctetString,
    Unsigned32,
    Unsigned64,
    Grouped,
    Address,
    Time,
    Utf8String,
    DiameterIdentity,
    DiameterUri,
    Enumerated,
}

impl Kind {
    /// The fewest octets that data of this type can have.
    pub const fn minimum_len(self) -> usize {
        match self {
            Self::Unsigned32 | Self::Time | Self::Enumerated => 4,
            Self::Unsigned64 => 8,
            Self::Address => 6,
            Self::OctetString | Self::Grouped | Self::Utf8String | Self::DiameterIdentity | Self::DiameterUri => 0,
        }
    }
}

/// The definition of an AVP that base protocol or Cx knows.
pub fn lookup(code: u32, vendor: u32) -> Option<&'static Definition> {
    let at = DEFINITIONS.binary_search_by_key(&(vendor, code), |d| (d.vendor, d.code)).ok()?;
    Some(&DEFINITIONS[at])
}

/// The short names of a command: its request, its answer.
pub const fn command_names(command: u32) -> Option<(&'static str, &'static str)> {
    Some(match command {
        CAPABILITIES_EXCHANGE => ("CER", "CEA"),
        DEVICE_WATCHDOG => ("DWR", "DWA"),
        DISCONNECT_PEER => ("DPR", "DPA"),
        USER_AUTHORIZATION => ("UAR", "UAA"),
        SERVER_ASSIGNMENT => ("SAR", "SAA"),
        LOCATION_INFO => ("LIR", "LIA"),
        MULTIMEDIA_AUTH => ("MAR", "MAA"),
        REGISTRATION_TERMINATION => ("RTR", "RTA"),
        PUSH_PROFILE => ("PPR", "PPA"),
        _ => return None,
    })
}

/// Vendor id of 3GPP.
pub const TGPP: u32 = 10_415;
/// Vendor id of ETSI.
pub const ETSI: u32 = 13_019;

/// Application id of the base protocol.
pub const BASE: u32 = 0;
/// Application id of Cx and Dx.
pub const CX: u32 = 16_777_216;
/// Application id of a relay: it matches every other.
pub const RELAY: u32 = 0xffff_ffff;

/// CER, CEA.
pub const CAPABILITIES_EXCHANGE: u32 = 257;
/// DWR, DWA.
pub const DEVICE_WATCHDOG: u32 = 280;
/// DPR, DPA.
pub const DISCONNECT_PEER: u32 = 282;
/// UAR, UAA.
pub const USER_AUTHORIZATION: u32 = 300;
/// SAR, SAA.
pub const SERVER_ASSIGNMENT: u32 = 301;
/// LIR, LIA.
pub const LOCATION_INFO: u32 = 302;
/// MAR, MAA.
pub const MULTIMEDIA_AUTH: u32 = 303;
/// RTR, RTA.
pub const REGISTRATION_TERMINATION: u32 = 304;
/// PPR, PPA.
pub const PUSH_PROFILE: u32 = 305;

macro_rules! definitions {
    ($($vendor:literal { $($code:literal $constant:ident $name:literal $kind:ident $m:ident;)* })*) => {
        $($(
            #[doc = $name]
            pub const $constant: u32 = $code;
        )*)*

        /// By vendor, then code.
        const DEFINITIONS: &[Definition] = &[$($(
            Definition {
                code: $code,
                vendor: $vendor,
                name: $name,
                kind: Kind::$kind,
                mandatory: definitions!(@mandatory $m),
            },
        )*)*];
    };
    (@mandatory M) => { true };
    (@mandatory o) => { false };
}

definitions! {
    0 {
        1 USER_NAME "User-Name" Utf8String M;
        8 FRAMED_IP_ADDRESS "Framed-IP-Address" OctetString M;
        25 CLASS "Class" OctetString M;
        27 SESSION_TIMEOUT "Session-Timeout" Unsigned32 M;
        33 PROXY_STATE "Proxy-State" OctetString M;
        55 EVENT_TIMESTAMP "Event-Timestamp" Time M;
        96 FRAMED_INTERFACE_ID "Framed-Interface-Id" Unsigned64 M;
        97 FRAMED_IPV6_PREFIX "Framed-IPv6-Prefix" OctetString M;
        104 DIGEST_REALM "Digest-Realm" Utf8String M;
        110 DIGEST_QOP "Digest-QoP" Utf8String M;
        111 DIGEST_ALGORITHM "Digest-Algorithm" Utf8String M;
        121 DIGEST_HA1 "Digest-HA1" Utf8String M;
        257 HOST_IP_ADDRESS "Host-IP-Address" Address M;
        258 AUTH_APPLICATION_ID "Auth-Application-Id" Unsigned32 M;
        259 ACCT_APPLICATION_ID "Acct-Application-Id" Unsigned32 M;
        260 VENDOR_SPECIFIC_APPLICATION_ID "Vendor-Specific-Application-Id" Grouped M;
        261 REDIRECT_HOST_USAGE "Redirect-Host-Usage" Enumerated M;
        262 REDIRECT_MAX_CACHE_TIME "Redirect-Max-Cache-Time" Unsigned32 M;
        263 SESSION_ID "Session-Id" Utf8String M;
        264 ORIGIN_HOST "Origin-Host" DiameterIdentity M;
        265 SUPPORTED_VENDOR_ID "Supported-Vendor-Id" Unsigned32 M;
        266 VENDOR_ID "Vendor-Id" Unsigned32 M;
        267 FIRMWARE_REVISION "Firmware-Revision" Unsigned32 o;
        268 RESULT_CODE "Result-Code" Unsigned32 M;
        269 PRODUCT_NAME "Product-Name" Utf8String o;
        270 SESSION_BINDING "Session-Binding" Unsigned32 M;
        271 SESSION_SERVER_FAILOVER "Session-Server-Failover" Enumerated M;
        272 MULTI_ROUND_TIME_OUT "Multi-Round-Time-Out" Unsigned32 M;
        273 DISCONNECT_CAUSE "Disconnect-Cause" Enumerated M;
        274 AUTH_REQUEST_TYPE "Auth-Request-Type" Enumerated M;
        276 AUTH_GRACE_PERIOD "Auth-Grace-Period" Unsigned32 M;
        277 AUTH_SESSION_STATE "Auth-Session-State" Enumerated M;
        278 ORIGIN_STATE_ID "Origin-State-Id" Unsigned32 M;
        279 FAILED_AVP "Failed-AVP" Grouped M;
        280 PROXY_HOST "Proxy-Host" DiameterIdentity M;
        281 ERROR_MESSAGE "Error-Message" Utf8String o;
        282 ROUTE_RECORD "Route-Record" DiameterIdentity M;
        283 DESTINATION_REALM "Destination-Realm" DiameterIdentity M;
        284 PROXY_INFO "Proxy-Info" Grouped M;
        285 RE_AUTH_REQUEST_TYPE "Re-Auth-Request-Type" Enumerated M;
        291 AUTHORIZATION_LIFETIME "Authorization-Lifetime" Unsigned32 M;
        292 REDIRECT_HOST "Redirect-Host" DiameterUri M;
        293 DESTINATION_HOST "Destination-Host" DiameterIdentity M;
        294 ERROR_REPORTING_HOST "Error-Reporting-Host" DiameterIdentity o;
        295 TERMINATION_CAUSE "Termination-Cause" Enumerated M;
        296 ORIGIN_REALM "Origin-Realm" DiameterIdentity M;
        297 EXPERIMENTAL_RESULT "Experimental-Result" Grouped M;
        298 EXPERIMENTAL_RESULT_CODE "Experimental-Result-Code" Unsigned32 M;
        299 INBAND_SECURITY_ID "Inband-Security-Id" Unsigned32 M;
        301 DRMP "DRMP" Enumerated o;
        621 OC_SUPPORTED_FEATURES "OC-Supported-Features" Grouped o;
        622 OC_FEATURE_VECTOR "OC-Feature-Vector" Unsigned64 o;
        623 OC_OLR "OC-OLR" Grouped o;
        649 SOURCE_ID "SourceID" DiameterIdentity o;
        650 LOAD "Load" Grouped o;
        651 LOAD_TYPE "Load-Type" Enumerated o;
        652 LOAD_VALUE "Load-Value" Unsigned64 o;
    }
    10415 {
        600 VISITED_NETWORK_IDENTIFIER "Visited-Network-Identifier" OctetString M;
        601 PUBLIC_IDENTITY "Public-Identity" Utf8String M;
        602 SERVER_NAME "Server-Name" Utf8String M;
        603 SERVER_CAPABILITIES "Server-Capabilities" Grouped M;
        604 MANDATORY_CAPABILITY "Mandatory-Capability" Unsigned32 M;
        605 OPTIONAL_CAPABILITY "Optional-Capability" Unsigned32 M;
        606 USER_DATA "User-Data" OctetString M;
        607 SIP_NUMBER_AUTH_ITEMS "SIP-Number-Auth-Items" Unsigned32 M;
        608 SIP_AUTHENTICATION_SCHEME "SIP-Authentication-Scheme" Utf8String M;
        609 SIP_AUTHENTICATE "SIP-Authenticate" OctetString M;
        610 SIP_AUTHORIZATION "SIP-Authorization" OctetString M;
        611 SIP_AUTHENTICATION_CONTEXT "SIP-Authentication-Context" OctetString M;
        612 SIP_AUTH_DATA_ITEM "SIP-Auth-Data-Item" Grouped M;
        613 SIP_ITEM_NUMBER "SIP-Item-Number" Unsigned32 M;
        614 SERVER_ASSIGNMENT_TYPE "Server-Assignment-Type" Enumerated M;
        615 DEREGISTRATION_REASON "Deregistration-Reason" Grouped M;
        616 REASON_CODE "Reason-Code" Enumerated M;
        617 REASON_INFO "Reason-Info" Utf8String M;
        618 CHARGING_INFORMATION "Charging-Information" Grouped M;
        619 PRIMARY_EVENT_CHARGING_FUNCTION_NAME "Primary-Event-Charging-Function-Name" DiameterUri M;
        620 SECONDARY_EVENT_CHARGING_FUNCTION_NAME "Secondary-Event-Charging-Function-Name" DiameterUri M;
        621 PRIMARY_CHARGING_COLLECTION_FUNCTION_NAME "Primary-Charging-Collection-Function-Name" DiameterUri M;
        622 SECONDARY_CHARGING_COLLECTION_FUNCTION_NAME "Secondary-Charging-Collection-Function-Name" DiameterUri M;
        623 USER_AUTHORIZATION_TYPE "User-Authorization-Type" Enumerated M;
        624 USER_DATA_ALREADY_AVAILABLE "User-Data-Already-Available" Enumerated M;
        625 CONFIDENTIALITY_KEY "Confidentiality-Key" OctetString M;
        626 INTEGRITY_KEY "Integrity-Key" OctetString M;
        628 SUPPORTED_FEATURES "Supported-Features" Grouped o;
        629 FEATURE_LIST_ID "Feature-List-ID" Unsigned32 o;
        630 FEATURE_LIST "Feature-List" Unsigned32 o;
        631 SUPPORTED_APPLICATIONS "Supported-Applications" Grouped o;
        632 ASSOCIATED_IDENTITIES "Associated-Identities" Grouped o;
        633 ORIGINATING_REQUEST "Originating-Request" Enumerated M;
        634 WILDCARDED_PUBLIC_IDENTITY "Wildcarded-Public-Identity" Utf8String o;
        635 SIP_DIGEST_AUTHENTICATE "SIP-Digest-Authenticate" Grouped o;
        637 UAR_FLAGS "UAR-Flags" Unsigned32 o;
        638 LOOSE_ROUTE_INDICATION "Loose-Route-Indication" Enumerated o;
        639 SCSCF_RESTORATION_INFO "SCSCF-Restoration-Info" Grouped o;
        640 PATH "Path" OctetString o;
        641 CONTACT "Contact" OctetString o;
        642 SUBSCRIPTION_INFO "Subscription-Info" Grouped o;
        643 CALL_ID_SIP_HEADER "Call-ID-SIP-Header" OctetString o;
        644 FROM_SIP_HEADER "From-SIP-Header" OctetString o;
        645 TO_SIP_HEADER "To-SIP-Header" OctetString o;
        646 RECORD_ROUTE "Record-Route" OctetString o;
        647 ASSOCIATED_REGISTERED_IDENTITIES "Associated-Registered-Identities" Grouped o;
        648 MULTIPLE_REGISTRATION_INDICATION "Multiple-Registration-Indication" Enumerated o;
        649 RESTORATION_INFO "Restoration-Info" Grouped o;
        650 SESSION_PRIORITY "Session-Priority" Enumerated o;
        651 IDENTITY_WITH_EMERGENCY_REGISTRATION "Identity-with-Emergency-Registration" Grouped o;
        652 PRIVILEDGED_SENDER_INDICATION "Priviledged-Sender-Indication" Enumerated o;
        653 LIA_FLAGS "LIA-Flags" Unsigned32 o;
        654 INITIAL_CSEQ_SEQUENCE_NUMBER "Initial-CSeq-Sequence-Number" Unsigned32 o;
        655 SAR_FLAGS "SAR-Flags" Unsigned32 o;
        656 ALLOWED_WAF_WWSF_IDENTITIES "Allowed-WAF-WWSF-Identities" Grouped o;
        657 WEBRTC_AUTHENTICATION_FUNCTION_NAME "WebRTC-Authentication-Function-Name" Utf8String o;
        658 WEBRTC_WEB_SERVER_FUNCTION_NAME "WebRTC-Web-Server-Function-Name" Utf8String o;
        659 RTR_FLAGS "RTR-Flags" Unsigned32 o;
        660 PCSCF_SUBSCRIPTION_INFO "P-CSCF-Subscription-Info" Grouped o;
        661 REGISTRATION_TIME_OUT "Registration-Time-Out" Time o;
        662 ALTERNATE_DIGEST_ALGORITHM "Alternate-Digest-Algorithm" Utf8String o;
        663 ALTERNATE_DIGEST_HA1 "Alternate-Digest-HA1" Utf8String o;
        664 FAILED_PCSCF "Failed-PCSCF" Grouped o;
        665 PCSCF_FQDN "PCSCF-FQDN" DiameterIdentity o;
        666 PCSCF_IP_ADDRESS "PCSCF-IP-Address" Address o;
    }
    13019 {
        500 LINE_IDENTIFIER "Line-Identifier" OctetString o;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_so_that_lookup_finds_each() {
        assert!(DEFINITIONS.is_sorted_by(|a, b| (a.vendor, a.code) < (b.vendor, b.code)));
        assert!(DEFINITIONS.iter().all(|d| lookup(d.code, d.vendor) == Some(d)));
        assert_eq!(lookup(SESSION_PRIORITY, TGPP).map(|d| d.name), Some("Session-Priority"));
        assert_eq!(lookup(LOAD, BASE).map(|d| d.name), Some("Load"));
        assert_eq!(lookup(PUBLIC_IDENTITY, 0), None);
    }
}
