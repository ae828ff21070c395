//! Header names.

use std::fmt;

macro_rules! names {
    ($($variant:ident $text:literal $($compact:literal)?,)*) => {
        /// A header that the code asks for; every other is [`HeaderName::Other`] and keeps its text in the line.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "the names say it")]
        pub enum HeaderName {
            $($variant,)*
            Other,
        }

        impl HeaderName {
            /// The long form; empty for [`HeaderName::Other`].
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other => "",
                }
            }

            /// All names with their long and compact forms.
            pub const ALL: &'static [(Self, &'static str, Option<char>)] = &[
                $((Self::$variant, $text, names!(@compact $($compact)?)),)*
            ];
        }
    };
    (@compact) => { None };
    (@compact $c:literal) => { Some($c) };
}

names! {
    Accept "Accept",
    AcceptContact "Accept-Contact" 'a',
    Allow "Allow",
    AllowEvents "Allow-Events" 'u',
    AuthenticationInfo "Authentication-Info",
    Authorization "Authorization",
    CSeq "CSeq",
    CallId "Call-ID" 'i',
    CallInfo "Call-Info",
    Contact "Contact" 'm',
    ContentDisposition "Content-Disposition",
    ContentEncoding "Content-Encoding" 'e',
    ContentLength "Content-Length" 'l',
    ContentType "Content-Type" 'c',
    Date "Date",
    Event "Event" 'o',
    Expires "Expires",
    FeatureCaps "Feature-Caps",
    FlowTimer "Flow-Timer",
    From "From" 'f',
    Identity "Identity" 'y',
    IdentityInfo "Identity-Info" 'n',
    MaxForwards "Max-Forwards",
    MinExpires "Min-Expires",
    PAccessNetworkInfo "P-Access-Network-Info",
    PAssertedIdentity "P-Asserted-Identity",
    PAssociatedUri "P-Associated-URI",
    PCalledPartyId "P-Called-Party-ID",
    PChargingFunctionAddresses "P-Charging-Function-Addresses",
    PChargingVector "P-Charging-Vector",
    PPreferredIdentity "P-Preferred-Identity",
    PVisitedNetworkId "P-Visited-Network-ID",
    Path "Path",
    Privacy "Privacy",
    ProxyAuthenticate "Proxy-Authenticate",
    ProxyAuthorization "Proxy-Authorization",
    ProxyRequire "Proxy-Require",
    RecordRoute "Record-Route",
    ReferTo "Refer-To" 'r',
    ReferredBy "Referred-By" 'b',
    RejectContact "Reject-Contact" 'j',
    RequestDisposition "Request-Disposition" 'd',
    Require "Require",
    RetryAfter "Retry-After",
    Route "Route",
    SecurityClient "Security-Client",
    SecurityServer "Security-Server",
    SecurityVerify "Security-Verify",
    Server "Server",
    ServiceRoute "Service-Route",
    SessionExpires "Session-Expires" 'x',
    Subject "Subject" 's',
    SubscriptionState "Subscription-State",
    Supported "Supported" 'k',
    To "To" 't',
    Unsupported "Unsupported",
    UserAgent "User-Agent",
    Via "Via" 'v',
    Warning "Warning",
    WwwAuthenticate "WWW-Authenticate",
}

impl HeaderName {
    /// Recognises a name as written: any case, compact or long.
    pub fn from_text(_text: &str) -> Self {
        todo!()
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
