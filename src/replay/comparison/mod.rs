//! What came against what was recorded: header by header, element by element, parameter by parameter, by parsed value.
//!
//! The order of headers and of parameters means nothing here, nor does the spelling of names, addresses and tokens. What
//! differs because somebody had to choose it anew (`rules`) does not matter; everything else does.

mod facts;
mod rules;

use facts::Fact;
use std::fmt;

/// One message as recorded, and the message that came in its place.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Comparison {
    items: Vec<Item>,
}

/// One value of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// Which header, in its long form; `status`, `method`, `Request-URI` and `body` are named so.
    pub header: Box<str>,
    /// Where: header, number of the element, part, as `Contact[0] ;expires`.
    pub at: String,
    /// What was recorded; `None`: nothing.
    pub recorded: Option<String>,
    /// What came; `None`: nothing.
    pub came: Option<String>,
    /// What follows from that.
    pub verdict: Verdict,
    /// Why it is so, where that is not plain.
    pub reason: Option<&'static str>,
}

/// What follows from two values.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Verdict {
    /// They are equal.
    Equal,
    /// They differ as they must, or as they may.
    Fresh,
    /// They differ, and nobody wants to know.
    Ignored,
    /// They differ.
    Differs,
    /// It was recorded, and did not come.
    Absent,
    /// It came, and was not recorded.
    Added,
}

/// Who sent the message, which decides what may differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sender {
    /// The UE.
    Ue,
    /// The network.
    Network,
}

impl Comparison {
    /// Compares a message with the recorded one. `expected` is the recorded one with everything renewed that whoever
    /// replays has chosen anew; without a replay it is `recorded` itself.
    pub fn of(sender: Sender, recorded: &[u8], expected: &[u8], came: &[u8], ignored: &[String]) -> Self {
        let scene = rules::Scene::of(sender, came);
        let [recorded, expected, mut came] = [recorded, expected, came].map(facts::of);
        // Whose bindings a registrar lists first is its own affair.
        came.align("Contact", &expected);
        let mut items: Vec<Item> = Vec::with_capacity(expected.all.len());
        let mut push = |item: Item| {
            // An element that is missing is told once.
            if !items.contains(&item) {
                items.push(item);
            }
        };
        for fact in &expected.all {
            let whole = expected.element(fact).filter(|_| !came.has_element(fact));
            push(match whole {
                Some(whole) => {
                    let was = recorded.element(fact).unwrap_or_else(|| whole.clone());
                    judge(&scene, &whole, Some((&was.value, &whole.value)), None, ignored)
                }
                None => {
                    let was = recorded.at(fact).unwrap_or(&fact.value);
                    judge(&scene, fact, Some((was, &fact.value)), came.at(fact), ignored)
                }
            });
        }
        for fact in came.all.iter().filter(|fact| expected.at(fact).is_none()) {
            let whole = came.element(fact).filter(|_| !expected.has_element(fact));
            let fact = whole.as_ref().unwrap_or(fact);
            push(judge(&scene, fact, None, Some(&fact.value), ignored));
        }
        Self { items }
    }

    /// Puts what arithmetic says in the place of what two texts say.
    pub(super) fn judged(&mut self, header: &str, part: &str, is_right: bool) {
        let at = format!("{header}[0] {part}");
        for item in self.items.iter_mut().filter(|item| item.at == at) {
            (item.verdict, item.reason) = match is_right {
                true => (Verdict::Fresh, Some("it follows from the key")),
                false => (Verdict::Differs, Some("it does not follow from the key")),
            };
        }
    }

    /// Every value, in the order of the recorded message, and then what was added.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// What is not equal.
    pub fn differences(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| item.verdict != Verdict::Equal)
    }

    /// What matters.
    pub fn faults(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| item.verdict.matters())
    }

    /// True where nothing matters.
    pub fn is_same(&self) -> bool {
        self.faults().next().is_none()
    }
}

impl Verdict {
    /// True for a difference that matters.
    pub const fn matters(self) -> bool {
        matches!(self, Self::Differs | Self::Absent | Self::Added)
    }

    /// One word, as scripts read it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Fresh => "fresh",
            Self::Ignored => "ignored",
            Self::Differs => "differs",
            Self::Absent => "absent",
            Self::Added => "added",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown =
            |value: &Option<String>| value.as_ref().map_or_else(|| "nothing".to_owned(), |v| format!("\"{v}\""));
        write!(f, "{}: {} recorded, {} came", self.at, shown(&self.recorded), shown(&self.came))?;
        self.reason.map_or(Ok(()), |reason| write!(f, " ({reason})"))
    }
}

/// `recorded`: as it was, and as it would be now.
fn judge(
    scene: &rules::Scene,
    at: &Fact,
    recorded: Option<(&String, &String)>,
    came: Option<&String>,
    ignored: &[String],
) -> Item {
    let expected = recorded.map(|(_, expected)| expected.as_str());
    let found = came.map(String::as_str);
    let (verdict, reason) = if at.is_same(expected, found) {
        let renewed = recorded.is_some_and(|(was, expected)| !at.is_same(Some(was), Some(expected)));
        if renewed { (Verdict::Fresh, Some("renewed by this replay")) } else { (Verdict::Equal, None) }
    } else if ignored.iter().any(|name| name.eq_ignore_ascii_case(&at.header)) {
        (Verdict::Ignored, None)
    } else if let Some(reason) = scene.excuse(at, expected, found) {
        (Verdict::Fresh, Some(reason))
    } else {
        let verdict = match (expected, found) {
            (Some(_), None) => Verdict::Absent,
            (None, _) => Verdict::Added,
            _ => Verdict::Differs,
        };
        (verdict, None)
    };
    let recorded = recorded.map(|(was, _)| was.clone());
    Item { header: at.header.clone(), at: at.to_string(), recorded, came: came.cloned(), verdict, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &str = "SIP/2.0 200 OK\r\n\
        Via: SIP/2.0/UDP [2001:DB8:0:0:0:0:0:7]:31100;rport=31100;branch=z9hG4bKa\r\n\
        From: <sip:u@ims.example>;tag=f\r\nTo: <sip:u@ims.example>;tag=t\r\nCall-ID: c\r\nCSeq: 2 REGISTER\r\n\
        Contact: <sip:u@[2001:DB8:0:0:0:0:0:7]:31100>;expires=900;q=0.5;audio\r\n\
        P-Associated-URI: <sip:+1@ims.example>  <tel:+1>\r\n\
        Service-Route: <sip:orig@s.example:6060;lr>\r\nSupported: path, gruu\r\nContent-Length: 0\r\n\r\n";

    fn compare(came: &str) -> Vec<String> {
        let comparison = Comparison::of(Sender::Network, OK.as_bytes(), OK.as_bytes(), came.as_bytes(), &[]);
        comparison.differences().map(|item| format!("{} {}", item.verdict, item.at)).collect()
    }

    #[test]
    fn order_spelling_and_line_ends_mean_nothing() {
        let came = "SIP/2.0 200 OK\r\n\
            k: gruu\r\nsupported: path\r\nl: 0\r\nCSeq: 2  REGISTER\r\ni: c\r\nt: <sip:u@ims.example>;tag=t\r\n\
            v: SIP/2.0/UDP [2001:db8::7]:31100;branch=z9hG4bKa;\r\n rport=31100\r\n\
            f: <sip:u@IMS.example>;tag=f\r\nm: <sip:u@[2001:db8::7]:31100>;AUDIO;q=0.500;expires=900\r\n\
            P-Associated-URI: <sip:+1@ims.example>\r\nP-Associated-URI: <tel:+1>\r\n\
            Service-Route: <sip:orig@s.example:6060;lr>\r\n\r\n";
        assert_eq!(compare(came), [""; 0]);
    }

    #[test]
    fn what_must_be_fresh_does_not_matter_and_all_else_does() {
        let changes = [
            ("200 OK", "200 Fine", "fresh reason"),
            ("200 OK", "202 OK", "differs status"),
            (";tag=t", ";tag=u", "fresh To[0] ;tag"),
            (";tag=t", "", "absent To[0] ;tag"),
            (";tag=f", ";tag=g", "differs From[0] ;tag"),
            ("z9hG4bKa", "z9hG4bKb", "differs Via[0] ;branch"),
            (";rport", ";received=192.0.2.1;rport", "fresh Via[0] ;received"),
            (";rport", ";received=here;rport", "added Via[0] ;received"),
            ("CSeq: 2", "CSeq: 3", "differs CSeq[0] number"),
            ("expires=900", "expires=901", "differs Contact[0] ;expires"),
            ("expires=900;", "", "absent Contact[0] ;expires"),
            (";audio", ";audio;video", "added Contact[0] ;video"),
            ("0:7]:31100>", "0:8]:31100>", "differs Contact[0] host"),
            ("s.example:6060", "t.example", "fresh Service-Route[0] host"),
            (";lr", "", "absent Service-Route[0] URI;lr"),
            ("path, gruu", "path", "absent Supported[0] gruu"),
            ("Supported", "X-Y: 1\r\nSupported", "added x-y[0]"),
            ("  <tel:+1>", "", "absent P-Associated-URI[1]"),
            ("Content-Length: 0", "Server: x", "added Server[0]"),
        ];
        for (from, to, first) in changes {
            let came = OK.replacen(from, to, 1);
            assert_ne!(came, OK, "{from} is not there");
            assert!(compare(&came).iter().any(|found| found == first), "{from}: {:?}", compare(&came));
        }
        assert!(compare(OK).is_empty());
    }

    #[test]
    fn bindings_in_another_order_are_the_same() {
        let contacts = |list: &str| OK.replacen("Contact: ", &format!("Contact: {list}, "), 1);
        let recorded = contacts("<sip:v@192.0.2.1>;expires=1, <sip:v@192.0.2.2>;expires=2");
        let compare = |came: &str| {
            let comparison =
                Comparison::of(Sender::Network, recorded.as_bytes(), recorded.as_bytes(), came.as_bytes(), &[]);
            comparison.faults().map(ToString::to_string).collect::<Vec<_>>()
        };
        let nothing: [&str; 0] = [];
        assert_eq!(compare(&contacts("<sip:v@192.0.2.2>;expires=2, <sip:v@192.0.2.1>;expires=1")), nothing);
        assert_eq!(compare(OK).len(), 2);
        let other = contacts("<sip:v@192.0.2.3>;expires=3, <sip:v@192.0.2.2>;expires=2");
        assert_eq!(compare(&other)[0], "Contact[0] host: \"192.0.2.1\" recorded, \"192.0.2.3\" came");
    }

    #[test]
    fn a_header_that_nobody_wants_to_know() {
        let came = OK.replacen("Supported: path, gruu\r\n", "", 1);
        let ignored = ["supported".to_owned()];
        let comparison = Comparison::of(Sender::Network, OK.as_bytes(), OK.as_bytes(), came.as_bytes(), &ignored);
        assert!(comparison.is_same());
        assert_eq!(comparison.differences().filter(|item| item.verdict == Verdict::Ignored).count(), 2);
    }

    #[test]
    fn keys_are_not_shown_and_what_is_no_message_is_compared_all_the_same() {
        let challenge =
            "SIP/2.0 401 No\r\nWWW-Authenticate: Digest realm=\"r\",nonce=\"n\",ck=\"00ff\",ik=\"11ee\"\r\n\r\n";
        let came = challenge.replacen(",ck=\"00ff\"", "", 1).replacen("realm=\"r\"", "realm=\"s\"", 1);
        let recorded = challenge.as_bytes();
        let comparison = Comparison::of(Sender::Network, recorded, recorded, came.as_bytes(), &[]);
        let shown = comparison.faults().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            shown,
            [
                "WWW-Authenticate[0] ;realm: \"r\" recorded, \"s\" came",
                "WWW-Authenticate[0] ;ck: \"(a key)\" recorded, nothing came"
            ]
        );
        assert!(!Comparison::of(Sender::Ue, OK.as_bytes(), OK.as_bytes(), b"junk", &[]).is_same());
    }
}
