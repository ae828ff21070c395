//! The subscription of a UE to its own registration (TS 24.229 clauses 5.1.1.3, 5.1.1.5A and 5.1.1.7): what the network
//! tells it is judged, and obeyed.

use super::attempt::{Answering, remove_temporary};
use super::dialog::Dialog;
use super::outgoing::Content;
use super::register::{Sequence, contact_uri};
use super::timers::{back_off, refresh_after};
use super::{Asked, Goal, State, Ue, Waiting, tell};
use crate::event::What;
use crate::identity::Impu;
use crate::packet::{Outbox, Packet};
use crate::reginfo::{self, Contact, ContactEvent, ContactState, Reginfo, Watcher};
use crate::sip::header::event::{Event, SubscriptionState};
use crate::sip::transaction::ServerId;
use crate::sip::{HeaderName, Message};
use crate::time::{Duration, Instant};

/// The subscription, from the SUBSCRIBE on.
#[derive(Debug)]
pub(super) struct Watching {
    dialog: Dialog,
    /// The other side has a tag: by a 200 or by a NOTIFY, whichever came first (RFC 6665 clause 4.4.1).
    is_confirmed: bool,
    /// A SUBSCRIBE waits for its answer.
    is_asking: bool,
    watcher: Watcher,
    expires: u32,
    refresh_at: Option<Instant>,
}

/// A network whose word makes the UE subscribe again at once, time and again, would be asked without end.
#[derive(Debug, Default)]
pub(super) struct Haste {
    /// When it subscribed last because of what the network said.
    last: Option<Instant>,
    /// How often in a row that was within [`CALM`].
    in_a_row: u32,
    /// When it subscribes anew.
    again_at: Option<Instant>,
}

/// What a NOTIFY says of our own Contact.
enum Verdict {
    Bound,
    Shortened(Duration),
    Ended(ContactEvent, Option<Duration>),
}

impl Ue {
    /// Subscribes after a 200 to a REGISTER; `afresh`: it was an initial registration, and an older subscription has gone.
    pub(super) fn watch(&mut self, now: Instant, afresh: bool, out: &mut Outbox) {
        self.haste.again_at = None;
        if !self.config.subscribe || self.config.emergency || (self.watching.is_some() && !afresh) {
            return;
        }
        let Some(target) = self.associated().first().map(|impu| impu.as_str().to_owned()) else { return };
        let Ok(dialog) = self.outside(&target) else { return };
        self.watching = Some(Box::new(Watching {
            dialog,
            is_confirmed: false,
            is_asking: false,
            watcher: Watcher::new(),
            expires: DESIRED_EXPIRES,
            refresh_at: None,
        }));
        self.send_subscribe(now, out);
    }

    /// When the subscription is to be refreshed, or made anew.
    pub(super) fn next_watching_timeout(&self) -> Option<Instant> {
        self.registration.as_ref()?;
        match &self.watching {
            Some(watching) => watching.refresh_at,
            None => self.haste.again_at,
        }
    }

    /// Refreshes the subscription when it is time, or makes it anew.
    pub(super) fn handle_watching_timeout(&mut self, now: Instant, out: &mut Outbox) {
        if self.next_watching_timeout().is_none_or(|at| at > now) {
            return;
        }
        match self.watching {
            Some(_) => self.send_subscribe(now, out),
            None => self.watch(now, true, out),
        }
    }

    /// The network's word makes another SUBSCRIBE necessary: when it is to leave. Once that is now; where it is the same soon
    /// after, later each time.
    fn when_to_ask_again(&mut self, now: Instant, out: &mut Outbox) -> Instant {
        let Haste { last, in_a_row, .. } = &mut self.haste;
        *in_a_row = match *last {
            Some(last) if now.saturating_since(last) < CALM => *in_a_row + 1,
            _ => 0,
        };
        let after = match *in_a_row {
            0 => Duration::ZERO,
            failures => back_off(&self.config.retry, failures, &mut self.random),
        };
        *last = Some(now + after);
        if after > Duration::ZERO {
            tell(out, || What::RetryAt { after, cause: "the network makes it subscribe again and again".to_owned() });
        }
        now + after
    }

    /// True while a NOTIFY may still come.
    pub(super) const fn is_watching(&self) -> bool {
        self.watching.is_some()
    }

    /// The final answer to a SUBSCRIBE; `None`: there was none.
    pub(super) fn on_subscribe_answered(&mut self, now: Instant, answer: Option<&Message<'_>>, out: &mut Outbox) {
        let Some(watching) = &mut self.watching else { return };
        watching.is_asking = false;
        let status = answer.and_then(Message::status).unwrap_or_default();
        let to: Impu = watching.dialog.remote_uri().into();
        tell(out, || What::RequestAnswered { method: "SUBSCRIBE", to, status });
        match (status, answer) {
            (200..=299, Some(answer)) => {
                if !watching.is_confirmed
                    && let Some(dialog) = watching.dialog.answered_by(answer)
                {
                    watching.dialog = dialog;
                    watching.is_confirmed = true;
                }
                let granted = answer.expires().unwrap_or(watching.expires);
                watching.refresh_at = Some(now + refresh_after(Duration::from_secs(granted.into())));
            }
            (423, Some(answer)) => {
                let wanted = answer.header(HeaderName::MinExpires).and_then(|v| v.trim().parse::<u32>().ok());
                match wanted.filter(|wanted| *wanted > watching.expires) {
                    Some(wanted) => {
                        watching.expires = wanted;
                        self.send_subscribe(now, out);
                    }
                    None => self.watching = None,
                }
            }
            // The dialog has gone, the registration has not.
            (481, _) if watching.is_confirmed => self.watch(now, true, out),
            // The next 200 to a REGISTER brings another try.
            _ => self.watching = None,
        }
    }

    /// Serves a NOTIFY of our subscription; `None`: it is not of ours.
    pub(super) fn on_notify(
        &mut self,
        now: Instant,
        server: ServerId,
        packet: &Packet<'_>,
        notify: &Message<'_>,
        out: &mut Outbox,
    ) -> Option<()> {
        let watching = self.watching.as_mut()?;
        if !watching.is_confirmed && watching.dialog.is_meant_by(notify) {
            watching.dialog = watching.dialog.notified_by(notify)?;
            watching.is_confirmed = true;
        }
        if !watching.dialog.holds(notify) {
            return None;
        }
        let status = match check(notify) {
            Ok(()) if watching.dialog.advance(notify) => 200,
            Ok(()) => 500,
            Err(status) => status,
        };
        self.respond(now, server, status, packet, notify, out);
        if status == 200 {
            self.heed(now, notify, out);
        }
        Some(())
    }

    /// Judges what a NOTIFY says, and does what it asks for.
    fn heed(&mut self, now: Instant, notify: &Message<'_>, out: &mut Outbox) {
        let set: Vec<String> = self.associated().iter().map(|impu| impu.as_str().to_owned()).collect();
        let set: Vec<&str> = set.iter().map(String::as_str).collect();
        let Some(watching) = &mut self.watching else { return };
        if !watching.dialog.is_named_by(notify) {
            tell(out, || What::NotifyFault {
                cause: "From and To are not the URIs of the dialog".to_owned(),
                clause: "RFC 3261 clause 12.2.1.1",
            });
        }
        let (mut own, mut other) = (Verdict::Bound, Verdict::Bound);
        let mut needs_full_state = false;
        if !notify.body().is_empty() {
            let verdict = watching.watcher.take(notify.body(), &set);
            for fault in &verdict.faults {
                tell(out, || What::NotifyFault { cause: fault.to_string(), clause: fault.clause() });
            }
            needs_full_state = verdict.needs_full_state;
            let reachable = self.way().map_or(self.config.local, |way| way.reachable);
            let contact = contact_uri(&self.config, reachable);
            let read = |contact: &str| verdict.document.as_ref().map_or(Verdict::Bound, |d| read(d, contact));
            if let Some(document) = &verdict.document {
                let strange = document.about(&contact).find_map(|(_, own)| foreign(own, &self.sequence));
                if let Some(cause) = strange {
                    tell(out, || What::NotifyFault { cause: cause.to_owned(), clause: "RFC 3680 clause 5.1" });
                }
            }
            own = read(&contact);
            if let Some(second) = &self.second
                && let Some(way) = second.way()
            {
                other = read(&contact_uri(&second.config, way.reachable));
            }
        }
        let state = notify.header(HeaderName::SubscriptionState).and_then(|s| SubscriptionState::parse(s).ok());
        let ended = state.filter(|s| s.state.eq_ignore_ascii_case("terminated"));
        let again = ended.is_some_and(|s| {
            let reason = s.params.value("reason").unwrap_or_default();
            ["deactivated", "timeout"].iter().any(|r| r.eq_ignore_ascii_case(reason))
        });
        let has_ended = ended.is_some();
        if let Some(left) = state.and_then(|s| s.expires())
            && let Some(watching) = &mut self.watching
        {
            watching.refresh_at = Some(now + refresh_after(Duration::from_secs(left.into())));
        }
        // The sets outlive a registration that is watched: only then is nobody watching any more.
        if let Some(second) = &mut self.second {
            match (&own, other) {
                (Verdict::Ended(..), Verdict::Ended(..)) => second.end_with_first_flow(now, out),
                (_, other) => second.follow(now, other, out),
            }
        }
        self.follow(now, own, out);
        if has_ended {
            self.watching = None;
        }
        if again && self.registration.is_some() && self.goal == Goal::Registered {
            match self.when_to_ask_again(now, out) {
                at if at > now => self.haste.again_at = Some(at),
                _ => self.watch(now, true, out),
            }
        } else if needs_full_state && self.watching.is_some() {
            let at = self.when_to_ask_again(now, out);
            match &mut self.watching {
                Some(watching) if at > now => {
                    watching.refresh_at = Some(watching.refresh_at.map_or(at, |of| of.min(at)))
                }
                _ => self.send_subscribe(now, out),
            }
        }
    }

    fn follow(&mut self, now: Instant, verdict: Verdict, out: &mut Outbox) {
        match verdict {
            Verdict::Ended(event, retry_after) => self.obey(now, event, retry_after, out),
            Verdict::Shortened(left) => self.shorten(now, left),
            Verdict::Bound => {}
        }
    }

    /// The network has ended the registration (TS 24.229 clause 5.1.1.7).
    fn obey(&mut self, now: Instant, event: ContactEvent, retry_after: Option<Duration>, out: &mut Outbox) {
        if self.registration.is_none() {
            return;
        }
        // A de-registration under way ends by its own answer.
        let is_leaving = self.goal == Goal::Deregistered;
        if is_leaving && self.is_busy() {
            return;
        }
        if let State::Answering(Answering { answer, .. }) = std::mem::replace(&mut self.state, State::Idle) {
            remove_temporary(Some(answer), "the network has ended the registration", out);
        }
        match event {
            ContactEvent::Deactivated | ContactEvent::Expired => {
                self.end_registration("the network: register again", now, out);
            }
            ContactEvent::Probation => {
                self.goal = Goal::Deregistered;
                self.end_registration("the network: register again later", now, out);
                self.goal = Goal::Registered;
                let after = retry_after.unwrap_or_else(|| back_off(&self.config.retry, 1, &mut self.random));
                tell(out, || What::RetryAt { after, cause: "the network asks for it".to_owned() });
                self.state = State::Waiting(Waiting { retry_at: now + after, afresh: true });
            }
            _ => {
                self.goal = Goal::Deregistered;
                self.end_registration("the network has ended it", now, out);
            }
        }
    }

    /// The network wants the UE to be authenticated again: half of the time left remains (TS 24.229 clause 5.1.1.5A).
    fn shorten(&mut self, now: Instant, left: Duration) {
        let refresh = self.config.refresh;
        if let Some(registration) = self.registration.as_mut().filter(|r| now + left < r.expires_at) {
            registration.expires_at = now + left;
            registration.refresh_at = refresh.then(|| now + left / 2);
        }
    }

    /// A SUBSCRIBE was sent again with this number.
    pub(super) fn on_subscribe_sent_again(&mut self, seq: u32) {
        if let Some(watching) = &mut self.watching {
            watching.dialog.local_seq = seq;
        }
    }

    fn send_subscribe(&mut self, now: Instant, out: &mut Outbox) {
        let (Some(mut watching), Some(way)) = (self.watching.take(), self.way()) else { return };
        if !watching.is_asking {
            watching.is_asking = true;
            watching.refresh_at = None;
            let expires = watching.expires.to_string();
            let more = [
                (HeaderName::Event, reginfo::PACKAGE),
                (HeaderName::Accept, reginfo::CONTENT_TYPE),
                (HeaderName::Expires, &*expires),
            ];
            let content = Content { with_contact: true, more: &more, ..Content::default() };
            self.ask_for(now, "SUBSCRIBE", &mut watching.dialog, &way, content, Asked::Subscribe, out);
        }
        self.watching = Some(watching);
    }
}

/// What is wrong with a NOTIFY before its body is read.
fn check(notify: &Message<'_>) -> Result<(), u16> {
    let event = notify.header(HeaderName::Event).map(Event::parse);
    if !matches!(event, Some(Ok(event)) if event.package.eq_ignore_ascii_case(reginfo::PACKAGE)) {
        return Err(489);
    }
    let content_type = notify.header(HeaderName::ContentType).map(|t| t.split(';').next().unwrap_or(t).trim());
    if !notify.body().is_empty() && !content_type.is_some_and(|t| t.eq_ignore_ascii_case(reginfo::CONTENT_TYPE)) {
        return Err(415);
    }
    let state = notify.header(HeaderName::SubscriptionState).map(SubscriptionState::parse);
    if matches!(state, Some(Ok(_))) { Ok(()) } else { Err(400) }
}

/// What a document says of the REGISTER that bound our Contact, where that REGISTER cannot be ours. One of before is told
/// of when the Contact ends, or while a newer one is under way.
fn foreign(own: &Contact<'_>, ours: &Sequence) -> Option<&'static str> {
    let is_active = own.state == ContactState::Active;
    let other_call = own.call_id.as_deref().is_some_and(|call_id| call_id != ours.call_id());
    match own.cseq {
        _ if is_active && other_call => Some("callid of our contact is not that of our REGISTER"),
        Some(cseq) if !other_call && cseq > ours.last().into() => {
            Some("cseq of our contact is higher than that of our last REGISTER")
        }
        _ => None,
    }
}

/// Our Contact, whatever identity it is bound to.
fn read(document: &Reginfo<'_>, contact: &str) -> Verdict {
    let mut ended: Option<&Contact<'_>> = None;
    for (_, own) in document.about(contact) {
        match (own.state, own.event, own.expires) {
            (ContactState::Active, ContactEvent::Shortened, Some(left)) => {
                return Verdict::Shortened(Duration::from_secs(left));
            }
            // While one identity is bound, the registration lives.
            (ContactState::Active, ..) => return Verdict::Bound,
            (ContactState::Terminated, ..) => ended = Some(own),
        }
    }
    ended.map_or(Verdict::Bound, |own| Verdict::Ended(own.event, own.retry_after.map(Duration::from_secs)))
}

/// What comes so long after another thing is no hurry any more: 64*T1 of the core.
const CALM: Duration = Duration::from_secs(32);
/// TS 24.229 clause 5.1.1.3.
const DESIRED_EXPIRES: u32 = 600_000;
