//! What several families ask of Gm.

use crate::cx::Uar;
use crate::diagnose::{Case, Findings, Found, How};
use crate::event::Role;
use crate::sip::{self, HeaderName, StartLine};
use crate::trace::story::{Attempt, Carried, Interface, Journey, Message, Registration, Set};
use crate::validate::rules::element::{Element, Tuple};
use crate::validate::rules::walk::Read;

/// The REGISTER that began an attempt, as the UE sent it: `None` where it is not whole.
pub(super) fn own_request(attempt: Attempt<'_>) -> Option<Read<'_>> {
    let request = attempt.request().filter(|request| request.from() == Some(Role::Ue) && !request.record().cut)?;
    Some((request, request.sip()?))
}

/// The elements of Security-Client that have everything (SA-03).
pub(super) fn complete<'a>(sip: &sip::Message<'a>) -> Vec<Element<'a>> {
    let mut all = Element::ipsec(sip, HeaderName::SecurityClient);
    all.retain(|element| element.missing().is_empty());
    all
}

/// The same, without those whose SPIs or ports nobody may use (SA-05, SA-06).
pub(super) fn usable<'a>(sip: &sip::Message<'a>) -> Vec<Element<'a>> {
    let mut all = complete(sip);
    all.retain(|element| {
        let [spi_c, spi_s] = ["spi-c", "spi-s"].map(|name| element.number(name).filter(|spi| *spi >= 256));
        let [port_c, port_s] = ["port-c", "port-s"]
            .map(|name| element.number(name).filter(|p| (1..=65_535).contains(p) && !matches!(p, 5060 | 5061)));
        let is_pair = |a: Option<u32>, b: Option<u32>| a.is_some() && b.is_some() && a != b;
        is_pair(spi_c, spi_s) && is_pair(port_c, port_s)
    });
    all
}

pub(super) fn tuples(elements: &[Element<'_>]) -> Vec<Tuple> {
    elements.iter().filter_map(Element::tuple).collect()
}

/// Whether a REGISTER went beyond the P-CSCF; `None` where the trace does not show what is there.
pub(super) fn was_forwarded(journey: Journey<'_>) -> Option<bool> {
    let observable = journey.first().messages().next()?.registration().observable();
    // What follows from its silence, as an SAR of a timer, does not count.
    let asked = || !observable.mw && journey.cx(Uar::COMMAND).is_some();
    let beyond = journey.hops().any(|hop| hop.interface() == Interface::Mw) || asked();
    (beyond || observable.mw || observable.cx).then_some(beyond)
}

/// True where the P-CSCF let the last REGISTER of an attempt pass, and what became of it came from behind.
fn failed_behind(case: &Case<'_>, attempt: Attempt<'_>) -> bool {
    let latest = attempt.latest();
    match case.failure().filter(|failure| failure.attempt == attempt).map(|failure| failure.how) {
        Some(How::Refused(by)) => {
            let mut beyond = latest.hops().filter(|hop| hop.interface() == Interface::Mw);
            beyond.any(|hop| hop.status() == by.status())
        }
        Some(How::Unanswered(_)) => was_forwarded(latest) == Some(true),
        _ => false,
    }
}

/// Notes a fault that the P-CSCF stops: a remark where it did not.
pub(super) fn stopped<'f, 'm>(
    case: &Case<'_>,
    findings: &'f mut Findings<'_>,
    attempt: Attempt<'_>,
    messages: impl IntoIterator<Item = Message<'m>>,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> &'f mut Found {
    if failed_behind(case, attempt) {
        findings.remark(messages, expected, found)
    } else {
        findings.of(attempt, messages, expected, found)
    }
}

/// `403 Forbidden`.
pub(super) fn answer_text(answer: Message<'_>) -> String {
    match answer.sip().map(sip::Message::start) {
        Some(StartLine::Response { status, reason }) => format!("{status} {reason}"),
        _ => String::new(),
    }
}

/// The attempt that a REGISTER, or its answer, is of.
pub(super) fn attempt_of<'r>(message: Message<'r>) -> Option<Attempt<'r>> {
    let journey = message.exchange()?.journey();
    message.registration().attempts().find(|attempt| attempt.journeys().any(|other| other == journey))
}

/// The last attempt that had begun at a place of the trace.
pub(super) fn attempt_at<'r>(registration: &'r Registration<'r>, place: crate::trace::Place) -> Option<Attempt<'r>> {
    registration
        .attempts()
        .rev()
        .find(|attempt| attempt.request().is_some_and(|request| request.record().place <= place))
}

/// The sets whose 200 came before a message and that nothing had ended since, in order.
pub(super) fn alive_at<'r>(message: Message<'r>) -> impl Iterator<Item = Set<'r>> {
    let registration = message.registration();
    let left = registration.attempts().filter(|attempt| attempt.is_deregistration()).filter_map(Attempt::end);
    let left: Option<usize> = left.map(Message::index).filter(|end| *end < message.index()).max();
    let established = move |set: &Set<'r>| {
        set.established().is_some_and(|end| end.index() < message.index() && left.is_none_or(|left| left < end.index()))
    };
    registration.sets().filter(established)
}

/// True for a message in ESP, or over an SA of a capture of our own.
pub(super) fn is_sealed(message: Message<'_>) -> bool {
    matches!(message.carried(), Carried::Sa(_) | Carried::Foreign)
}
