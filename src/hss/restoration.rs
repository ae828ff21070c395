//! What S-CSCFs have left with the HSS against the loss of their registrations (TS 23.380, TS 29.228 clause 6.1.2.1).
//! Few cores ask for it, so it stands beside the states and not in them.

use super::source::Member;
use crate::cx::ScscfRestorationInfo;
use crate::diameter::{Avps, Writer};
use std::collections::{HashMap, HashSet};

/// Restoration data of all subscribers that have some.
#[derive(Debug, Default)]
pub(super) struct Restorations {
    /// SCSCF-Restoration-Info as it goes out again; keyed by [`Member::id`].
    infos: HashMap<u64, Box<[u8]>, foldhash::fast::RandomState>,
    /// What the request at hand has replaced.
    replaced: Option<Box<[u8]>>,
    /// An I-CSCF asked for the capabilities of another S-CSCF: that one may take the user over.
    reassignments: HashSet<u64, foldhash::fast::RandomState>,
}

impl Restorations {
    /// Stores what an S-CSCF leaves, in place of what was there, which can be had until the next request.
    pub(super) fn store(&mut self, member: Member, info: &ScscfRestorationInfo<'_>) {
        let mut octets = Vec::new();
        info.encode(&mut Writer::avps(&mut octets));
        self.replaced = self.infos.insert(member.id, octets.into());
    }

    /// What [`Restorations::store`] has replaced for the request at hand.
    pub(super) fn replaced(&self) -> Option<ScscfRestorationInfo<'_>> {
        self.replaced.as_deref().and_then(read)
    }

    /// Another request is at hand.
    pub(super) fn begin(&mut self) {
        self.replaced = None;
    }

    /// The octets of SCSCF-Restoration-Info; none without.
    pub(super) fn octets(&self, member: Member) -> &[u8] {
        self.infos.get(&member.id).map_or(&[], |octets| octets)
    }

    /// What was stored.
    pub(super) fn find(&self, member: Member) -> Option<ScscfRestorationInfo<'_>> {
        let octets = self.infos.get(&member.id)?;
        read(octets)
    }

    /// True when something is stored.
    pub(super) fn has(&self, member: Member) -> bool {
        self.infos.contains_key(&member.id)
    }

    /// Nothing is registered any more.
    pub(super) fn forget(&mut self, member: Member) {
        self.infos.remove(&member.id);
        self.reassignments.remove(&member.id);
    }

    /// Takes back the octets of a record. False: they are not what [`Restorations::octets`] gave.
    pub(super) fn restore(&mut self, member: Member, octets: &[u8], reassignment_pending: bool) -> bool {
        if reassignment_pending {
            self.reassignments.insert(member.id);
        }
        if !octets.is_empty() {
            if read(octets).is_none() {
                return false;
            }
            self.infos.insert(member.id, octets.into());
        }
        true
    }

    /// The S-CSCF reassignment pending flag.
    pub(super) fn is_reassignment_pending(&self, member: Member) -> bool {
        self.reassignments.contains(&member.id)
    }

    /// Sets the flag.
    pub(super) fn await_reassignment(&mut self, member: Member) {
        self.reassignments.insert(member.id);
    }

    /// An S-CSCF has the user.
    pub(super) fn end_reassignment(&mut self, member: Member) {
        self.reassignments.remove(&member.id);
    }
}

fn read(octets: &[u8]) -> Option<ScscfRestorationInfo<'_>> {
    let mut avps = Avps::new(octets);
    let avp = avps.next()?.ok()?;
    ScscfRestorationInfo::decode(&avp).ok().filter(|_| avps.next().is_none())
}
