//! Faults made on purpose: a sound flow, altered in one place.
//!
//! A [`Mutation`] is data. It names messages by who sends them and what they are, and tells what becomes of them: other
//! headers, parameters, AVPs, a loss, a delay, another port. A [`Mutator`] applies it at the outgoing side of an element,
//! before anything is sealed, so that receivers react as they really would. What an element believes of itself is not
//! touched; an [`Alteration`] can also be taken back where a message arrives, so that the receiver believes otherwise than
//! the wire shows.
//!
//! ```
//! use imsreg::event::Role;
//! use imsreg::mutation::{Alteration, Edit, Mutation, Mutator, Passing, Pattern};
//! use imsreg::packet::Protocol;
//!
//! let pattern = Pattern { message: "REGISTER".into(), ..Pattern::from(Role::Ue) };
//! let edit = Edit::RemoveHeader { header: "Require".into() };
//! let mutation = Mutation::new("without-require", vec![Alteration::new(pattern, vec![edit])]);
//! let mut mutator = Mutator::new(mutation, "alice");
//! let bytes = b"REGISTER sip:a SIP/2.0\r\nCall-ID: 1\r\nRequire: sec-agree\r\nTo: <sip:alice@a>\r\n\r\n";
//! let (sender, receiver) = (Role::Ue, Role::Pcscf);
//! let passing = Passing { sender, receiver, protocol: Protocol::Sip, protected: false, of_ue: true, bytes };
//! let sent = mutator.leaves(&passing).expect("it is altered");
//! assert_eq!(sent[0].bytes, b"REGISTER sip:a SIP/2.0\r\nCall-ID: 1\r\nTo: <sip:alice@a>\r\n\r\n");
//! ```

mod avp;
mod fill;
mod guise;
mod mutator;
mod pattern;
mod set;
mod sip;

pub(crate) use guise::Guise;
pub use mutator::{Leaving, Mutator, Passing};
pub(crate) use pattern::is_message;
pub use pattern::{Occurrences, Pattern};
pub(crate) use sip::{SipText, parameter, split};

use crate::event::Role;
use crate::time::Duration;

/// One fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mutation {
    /// Its name.
    pub id: Box<str>,
    /// What is wrong, in a sentence.
    pub about: Box<str>,
    /// What becomes of which messages.
    pub alterations: Vec<Alteration>,
    /// What becomes of sets of SAs.
    pub sets: Vec<SetFault>,
    /// Whose answer to SYN inside an SA is missing.
    pub deaf: Option<Role>,
    /// True: there are no SAs, and what follows a challenge counts as protected.
    pub in_clear: bool,
}

impl Mutation {
    /// One that alters messages.
    pub fn new(id: &str, alterations: Vec<Alteration>) -> Self {
        Self { id: id.into(), about: "".into(), alterations, sets: Vec::new(), deaf: None, in_clear: false }
    }
}

/// What becomes of some messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alteration {
    /// Which.
    pub pattern: Pattern,
    /// True: the receiver gets what is altered here, and the wire shows what was sent.
    pub on_arrival: bool,
    /// What changes in them.
    pub edits: Vec<Edit>,
    /// What becomes of them as packets.
    pub passage: Passage,
    /// A further message after it.
    pub copy: Option<Repeat>,
}

impl Alteration {
    /// One that changes what is in messages.
    pub fn new(pattern: Pattern, edits: Vec<Edit>) -> Self {
        Self { pattern, on_arrival: false, edits, passage: Passage::default(), copy: None }
    }
}

/// What becomes of a message as a packet.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Passage {
    /// It is never sent.
    pub drop: bool,
    /// It is sent and does not arrive.
    pub lose: Lose,
    /// How much later it leaves.
    pub delay: Duration,
    /// It leaves outside of any SA.
    pub clear: bool,
    /// The port that it leaves from.
    pub from_port: Option<u16>,
    /// The port that it goes to.
    pub to_port: Option<u16>,
    /// Another SA of its sender and the UE carries it.
    pub over: Option<Way>,
    /// The connection that it leaves over is reset directly behind it.
    pub reset: bool,
}

/// An SA beside the one that a message is meant for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// That of the same set between the other two ports.
    OtherPorts,
    /// That of the same kind of another set with this UE.
    OtherSet,
}

/// What becomes of a packet that has left.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Fate {
    /// What of it does not arrive.
    pub lost: Option<Lost>,
    /// Its connection is reset behind it.
    pub reset: bool,
}

/// What of a packet does not arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lost {
    /// All of it.
    Whole,
    /// The last fragment of a datagram that is larger than [`MTU`]: so nothing of it is received. Others arrive.
    Fragment,
}

/// What a packet may have before it is sent in fragments: that of Ethernet, whatever the link has.
pub const MTU: usize = 1_500;

/// Which copies of a message get lost.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Lose {
    /// None.
    #[default]
    Nothing,
    /// The first: retransmissions arrive.
    First,
    /// Of the first, its last fragment.
    Fragment,
    /// All.
    All,
}

/// The message once more, as it left, with changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repeat {
    /// How long after it.
    pub after: Duration,
    /// What changes in the copy.
    pub edits: Vec<Edit>,
    /// What becomes of the copy as a packet.
    pub passage: Passage,
}

/// One change of a message. Texts may hold placeholders, see `docs/mutations.md`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Edit {
    /// Another start line.
    StartLine(Box<str>),
    /// The only line of a header, added where there is none.
    SetHeader {
        /// Its name.
        header: Box<str>,
        /// Its value.
        value: Box<str>,
    },
    /// A further line of a header.
    AddHeader {
        /// Its name.
        header: Box<str>,
        /// Its value.
        value: Box<str>,
    },
    /// All lines of a header go.
    RemoveHeader {
        /// Its name.
        header: Box<str>,
    },
    /// A text within the lines of a header.
    ReplaceInHeader {
        /// Its name.
        header: Box<str>,
        /// What is there.
        old: Box<str>,
        /// What is there instead.
        new: Box<str>,
    },
    /// A parameter of the elements of a header.
    SetParameter {
        /// Its name.
        header: Box<str>,
        /// Which element, from 1; `None`: every one.
        element: Option<usize>,
        /// The parameter.
        parameter: Box<str>,
        /// Its value, `None`: it goes.
        value: Option<Box<str>>,
    },
    /// The elements of a header, in another shape.
    Elements {
        /// Its name.
        header: Box<str>,
        /// Which.
        shape: Shape,
    },
    /// A text anywhere in a message, start line and body included.
    Replace {
        /// What is there.
        old: Box<str>,
        /// What is there instead.
        new: Box<str>,
    },
    /// Another body.
    Body(Box<str>),
    /// The data of an AVP, found through its groups; one that is not there is added.
    SetAvp {
        /// The codes, from the outermost.
        path: Vec<u32>,
        /// The data.
        data: AvpData,
    },
    /// An AVP goes.
    RemoveAvp {
        /// The codes, from the outermost.
        path: Vec<u32>,
    },
    /// An octet of an AVP is another one.
    FlipAvp {
        /// The codes, from the outermost.
        path: Vec<u32>,
        /// Which octet.
        octet: usize,
    },
    /// AUTN behind RAND in an AVP has another AMF, and the MAC that belongs to it.
    Amf {
        /// The codes, from the outermost.
        path: Vec<u32>,
        /// AMF.
        amf: [u8; 2],
    },
    /// The result of an answer, in place of what it says.
    Result {
        /// Result-Code, or Experimental-Result-Code.
        code: u32,
        /// True for the second.
        experimental: bool,
    },
}

/// What elements of a header look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// From the last to the first.
    Reversed,
    /// A line each.
    Lines,
    /// The first alone.
    First,
    /// The last alone.
    Last,
    /// All, and the first again.
    Repeated,
}

/// The data of an AVP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AvpData {
    /// Unsigned32, Enumerated.
    Number(u32),
    /// A text, with placeholders.
    Text(Box<str>),
    /// Octets.
    Octets(Vec<u8>),
    /// What stood there in the first message of this kind.
    First,
}

/// A set of SAs of an element that is not what was agreed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SetFault {
    /// Whose: UE or P-CSCF.
    pub at: Role,
    /// Which of its sets, from 1; `None`: every one.
    pub number: Option<usize>,
    /// What is wrong.
    pub fault: SetFaultKind,
}

/// What is wrong with a set of SAs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetFaultKind {
    /// CK and IK change places.
    SwappedKeys,
    /// CK is wrong.
    WrongCk,
    /// IK is wrong.
    WrongIk,
    /// Nothing tells its owner that it is gone, so long after it was made.
    EndsAfter(Duration),
    /// It cannot be made.
    Refused,
}
