//! Writing user data: elements in the order of the schema, defaults left out.

use super::{ApplicationServer, Condition, ImsSubscription, InitialFilterCriteria, PublicIdentity, ServiceProfile};
use super::{IdentityType, Spt};

pub(super) fn document(subscription: &ImsSubscription, out: &mut Vec<u8>) {
    out.extend_from_slice(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    let mut x = Xml(out);
    x.element("IMSSubscription", |x| {
        x.text("PrivateID", &subscription.private_id);
        for p in &subscription.profiles {
            x.element("ServiceProfile", |x| profile(p, x));
        }
    });
}

fn profile(profile: &ServiceProfile, x: &mut Xml<'_>) {
    for i in &profile.identities {
        x.element("PublicIdentity", |x| identity(i, x));
    }
    if let Some(id) = profile.media_profile {
        x.element("CoreNetworkServicesAuthorization", |x| x.number("SubscribedMediaProfileId", id));
    }
    for criteria in &profile.filter_criteria {
        x.element("InitialFilterCriteria", |x| filter_criteria(criteria, x));
    }
    if !profile.shared_ifc_sets.is_empty() {
        x.element("Extension", |x| {
            for id in &profile.shared_ifc_sets {
                x.number("SharedIFCSetID", *id);
            }
        });
    }
}

fn identity(identity: &PublicIdentity, x: &mut Xml<'_>) {
    if identity.barred {
        x.number("BarringIndication", 1);
    }
    x.text("Identity", &identity.identity);
    let (psi, impu) = match (&identity.wildcard, identity.kind) {
        (wildcard, IdentityType::WildcardedPsi) => (wildcard.as_deref(), None),
        (wildcard, _) => (None, wildcard.as_deref()),
    };
    let inner = identity.display_name.is_some() || impu.is_some();
    if identity.kind == IdentityType::default() && psi.is_none() && !inner {
        return;
    }
    x.element("Extension", |x| {
        x.number("IdentityType", identity.kind as u32);
        if let Some(psi) = psi {
            x.text("WildcardedPSI", psi);
        }
        if inner {
            x.element("Extension", |x| {
                if let Some(name) = &identity.display_name {
                    x.text("DisplayName", name);
                }
                if let Some(impu) = impu {
                    x.element("Extension", |x| x.text("WildcardedIMPU", impu));
                }
            });
        }
    });
}

fn filter_criteria(criteria: &InitialFilterCriteria, x: &mut Xml<'_>) {
    x.number("Priority", criteria.priority);
    if let Some(trigger) = &criteria.trigger {
        x.element("TriggerPoint", |x| {
            x.number("ConditionTypeCNF", trigger.cnf.into());
            for condition in &trigger.conditions {
                x.element("SPT", |x| spt(condition, x));
            }
        });
    }
    x.element("ApplicationServer", |x| server(&criteria.server, x));
    if let Some(registered) = criteria.registered_part {
        x.number("ProfilePartIndicator", (!registered).into());
    }
}

fn spt(spt: &Spt, x: &mut Xml<'_>) {
    x.number("ConditionNegated", spt.negated.into());
    for group in &spt.groups {
        x.number("Group", *group);
    }
    match &spt.condition {
        Condition::RequestUri(pattern) => x.text("RequestURI", pattern),
        Condition::Method(method) => x.text("Method", method),
        Condition::SipHeader { header, content } => x.element("SIPHeader", |x| {
            x.text("Header", header);
            x.optional("Content", content.as_deref());
        }),
        Condition::SessionCase(case) => x.number("SessionCase", (*case).into()),
        Condition::SessionDescription { line, content } => x.element("SessionDescription", |x| {
            x.text("Line", line);
            x.optional("Content", content.as_deref());
        }),
    }
    if !spt.registration_types.is_empty() {
        x.element("Extension", |x| {
            for kind in &spt.registration_types {
                x.number("RegistrationType", (*kind).into());
            }
        });
    }
}

fn server(server: &ApplicationServer, x: &mut Xml<'_>) {
    x.text("ServerName", &server.server_name);
    x.number("DefaultHandling", server.terminate_on_failure.into());
    x.optional("ServiceInfo", server.service_info.as_deref());
    if server.include_register_request || server.include_register_response {
        x.element("Extension", |x| {
            if server.include_register_request {
                x.empty("IncludeRegisterRequest");
            }
            if server.include_register_response {
                x.empty("IncludeRegisterResponse");
            }
        });
    }
}

/// Elements to the end of a buffer.
struct Xml<'b>(&'b mut Vec<u8>);

impl Xml<'_> {
    fn element(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.tag("<", name, ">");
        content(self);
        self.tag("</", name, ">");
    }

    fn empty(&mut self, name: &str) {
        self.tag("<", name, "/>");
    }

    fn text(&mut self, name: &str, text: &str) {
        self.element(name, |x| x.escape(text));
    }

    fn optional(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    fn number(&mut self, name: &str, number: u32) {
        self.element(name, |x| match number {
            0..10 => x.0.push(b'0' + u8::try_from(number).expect("one digit")),
            _ => x.0.extend_from_slice(number.to_string().as_bytes()),
        });
    }

    fn tag(&mut self, open: &str, name: &str, close: &str) {
        for part in [open, name, close] {
            self.0.extend_from_slice(part.as_bytes());
        }
    }

    fn escape(&mut self, text: &str) {
        let mut rest = text.as_bytes();
        // Hardly any text holds one of them: all of it is looked at together.
        let is_special = |octet: &u8| matches!(octet, b'&' | b'<' | b'>' | b'\r');
        while rest.iter().fold(false, |found, octet| found | is_special(octet)) {
            let at = rest.iter().position(is_special).expect("there is one");
            self.0.extend_from_slice(&rest[..at]);
            self.0.extend_from_slice(match rest[at] {
                b'&' => b"&amp;",
                b'<' => b"&lt;",
                b'>' => b"&gt;",
                _ => b"&#13;",
            });
            rest = &rest[at + 1..];
        }
        self.0.extend_from_slice(rest);
    }
}
