//! What the HSS writes down of a subscription, so that the next run of it goes on: SQN_HE, registration state, S-CSCF
//! name. The key is the IMPI; the value begins with a version and is read only if every octet of it fits.

use super::network::Servers;
use super::source::Member;
use super::state::{Registration, State, States};
use std::fmt;

/// What became of a record that was handed back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Restored {
    /// The subscription goes on from it.
    Taken,
    /// Nobody of this name is provisioned (any more): the record is for whoever keeps it.
    UnknownSubscriber,
}

/// Why a record cannot be one of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordFault {
    /// The key is no UTF-8.
    #[error("its key is no text")]
    Key,
    /// Written by another version of the format.
    #[error("version {0} found, {VERSION} expected")]
    Version(u8),
    /// It ends too early.
    #[error("it ends within the {0}")]
    Truncated(&'static str),
    /// It goes on after its end.
    #[error("{0} octets follow its end")]
    Surplus(usize),
    /// A value that no HSS writes.
    #[error("the {0} has a value that is never written")]
    Value(&'static str),
}

/// The value of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Record<'a> {
    pub(super) registration: Registration,
    pub(super) authentication_pending: bool,
    pub(super) recorded: u16,
    pub(super) sqn: u64,
    pub(super) clock_offset: i64,
    pub(super) server: Option<&'a str>,
    pub(super) reassignment_pending: bool,
    /// SCSCF-Restoration-Info, or nothing.
    pub(super) restoration: &'a [u8],
    /// The S-CSCF that another one is taking the user from: its name, and its Diameter host where that is known.
    pub(super) overtaken: Option<(&'a str, &'a str)>,
}

impl<'a> Record<'a> {
    pub(super) fn of(member: Member, state: &State, states: &'a States, servers: &'a Servers) -> Self {
        let State { registration, authentication_pending, recorded, sqn, clock_offset, .. } = *state;
        let server = states.server(state);
        let reassignment_pending = states.restorations.is_reassignment_pending(member);
        let restoration = states.restorations.octets(member);
        let overtaken = states.overtaken(member).map(|name| (name, servers.host(name).unwrap_or_default()));
        Self {
            registration,
            authentication_pending,
            recorded,
            sqn,
            clock_offset,
            server,
            reassignment_pending,
            restoration,
            overtaken,
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[VERSION, self.registration as u8, self.flags()]);
        out.extend_from_slice(&self.recorded.to_be_bytes());
        out.extend_from_slice(&self.sqn.to_be_bytes());
        out.extend_from_slice(&self.clock_offset.to_be_bytes());
        write_counted(self.server.unwrap_or_default().as_bytes(), out);
        write_counted(self.restoration, out);
        if let Some((name, host)) = self.overtaken {
            write_counted(name.as_bytes(), out);
            write_counted(host.as_bytes(), out);
        }
    }

    const fn flags(&self) -> u8 {
        self.authentication_pending as u8
            | (self.reassignment_pending as u8) << 1
            | (self.overtaken.is_some() as u8) << 2
    }

    pub(super) fn read(value: &'a [u8]) -> Result<Self, RecordFault> {
        let mut rest = Rest(value);
        let [version] = rest.octets("version")?;
        if version != VERSION {
            return Err(RecordFault::Version(version));
        }
        let [registration, flags] = rest.octets("registration state")?;
        let registration = match registration {
            0 => Registration::NotRegistered,
            1 => Registration::Registered,
            2 => Registration::Unregistered,
            _ => return Err(RecordFault::Value("registration state")),
        };
        if flags > 7 {
            return Err(RecordFault::Value("byte of pending flags"));
        }
        let recorded = u16::from_be_bytes(rest.octets("count of recorded vectors")?);
        let sqn = u64::from_be_bytes(rest.octets("SQN")?);
        if sqn >> SQN_BITS != 0 {
            return Err(RecordFault::Value("SQN"));
        }
        let clock_offset = i64::from_be_bytes(rest.octets("clock offset")?);
        let server = rest.text("S-CSCF name")?;
        if registration != Registration::NotRegistered && server.is_empty() {
            return Err(RecordFault::Value("S-CSCF name"));
        }
        let restoration = rest.counted("restoration information")?;
        let overtaken = match flags & 4 {
            0 => None,
            _ => Some((rest.text("name of the S-CSCF before")?, rest.text("host of the S-CSCF before")?)),
        };
        rest.finish()?;
        Ok(Self {
            registration,
            authentication_pending: flags & 1 != 0,
            recorded,
            sqn,
            clock_offset,
            server: Some(server).filter(|name| !name.is_empty()),
            reassignment_pending: flags & 2 != 0,
            restoration,
            overtaken,
        })
    }
}

/// What has not been read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn octets<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], RecordFault> {
        let (octets, rest) = self.0.split_first_chunk().ok_or(RecordFault::Truncated(what))?;
        self.0 = rest;
        Ok(*octets)
    }

    /// Octets behind their number.
    fn counted(&mut self, what: &'static str) -> Result<&'a [u8], RecordFault> {
        let len = u32::from_be_bytes(self.octets(what)?) as usize;
        let (octets, rest) = self.0.split_at_checked(len).ok_or(RecordFault::Truncated(what))?;
        self.0 = rest;
        Ok(octets)
    }

    fn text(&mut self, what: &'static str) -> Result<&'a str, RecordFault> {
        std::str::from_utf8(self.counted(what)?).map_err(|_| RecordFault::Value(what))
    }

    const fn finish(self) -> Result<(), RecordFault> {
        if self.0.is_empty() { Ok(()) } else { Err(RecordFault::Surplus(self.0.len())) }
    }
}

fn write_counted(octets: &[u8], out: &mut Vec<u8>) {
    // A Diameter message has at most 2^24 octets.
    out.extend_from_slice(&u32::try_from(octets.len()).expect("part of one message").to_be_bytes());
    out.extend_from_slice(octets);
}

impl fmt::Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Taken => "taken",
            Self::UnknownSubscriber => "of an unknown subscriber",
        })
    }
}

/// Of the format, the first octet of every value.
const VERSION: u8 = 1;
const SQN_BITS: u32 = 48;

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: Record<'_> = Record {
        registration: Registration::Registered,
        authentication_pending: true,
        recorded: 3,
        sqn: 0x1234_5678_9abc,
        clock_offset: -77,
        server: Some("sip:scscf.ims.example:6060"),
        reassignment_pending: true,
        restoration: b"AVPs",
        overtaken: Some(("sip:other.ims.example", "other.ims.example")),
    };

    fn written() -> Vec<u8> {
        let mut out = Vec::new();
        RECORD.write(&mut out);
        out
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(Record::read(&written()), Ok(RECORD));
        let nobody = Record { registration: Registration::NotRegistered, server: None, overtaken: None, ..RECORD };
        let mut out = Vec::new();
        nobody.write(&mut out);
        assert_eq!(Record::read(&out), Ok(nobody));
    }

    #[test]
    fn no_beginning_of_a_record_is_one() {
        let whole = written();
        for end in 0..whole.len() {
            assert!(matches!(Record::read(&whole[..end]), Err(RecordFault::Truncated(_))), "{end}");
        }
        let longer = [whole.as_slice(), &[0, 0]].concat();
        assert_eq!(Record::read(&longer), Err(RecordFault::Surplus(2)));
    }

    #[test]
    fn values_that_are_never_written_are_refused() {
        let damaged = |at: usize, octet| {
            let mut record = written();
            record[at] = octet;
            Record::read(&record).expect_err("damaged").to_string()
        };
        assert_eq!(damaged(0, 9), "version 9 found, 1 expected");
        assert_eq!(damaged(1, 3), "the registration state has a value that is never written");
        assert_eq!(damaged(2, 8), "the byte of pending flags has a value that is never written");
        assert_eq!(damaged(5, 1), "the SQN has a value that is never written");
        assert_eq!(damaged(25, 0xff), "the S-CSCF name has a value that is never written");
        assert_eq!(damaged(24, 0xff), "it ends within the S-CSCF name");
    }
}
