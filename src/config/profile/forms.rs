//! The keys `forms`: how messages of another make look.
//!
//! ```yaml
//! pcscf:
//!   forms:
//!     401: {reason: Unauthorized, headers: [Via, From, To, "WWW-Authenticate: Digest realm=\"{realm}\",{*}"], leave_out: [Server]}
//! ue:
//!   forms: {register: {headers: [..]}, answer: {..}, refresh: {..}, subscribe: {..}}
//! ```

use crate::config::fault::Collector;
use crate::config::read::{Fields, Path};
use crate::config::value::{TEXT, TOKEN};
use crate::config::yaml::Value;
use crate::sip::form::Form;
use crate::ue::RequestForms;
use std::collections::BTreeMap;

/// `pcscf.forms`, by status.
pub(super) fn of_answers(f: &mut Fields<'_>, faults: &mut Collector) -> Option<BTreeMap<u16, Form>> {
    let node = f.get("forms")?;
    let path = Path::Key(&f.path, "forms");
    let Value::Map(entries) = &node.value else {
        faults.at(node, path, "a mapping of statuses expected".to_owned());
        return None;
    };
    let mut forms = BTreeMap::new();
    for entry in entries {
        let own = Path::Key(&path, &entry.key);
        let Some(status) = entry.key.parse::<u16>().ok().filter(|status| (200..700).contains(status)) else {
            let message = format!("\"{}\" found, a status from 200 to 699 expected", entry.key);
            faults.at_id(entry.key_source, entry.key_id, path, message);
            continue;
        };
        if let Some(form) = form(Fields::new(&entry.value, own, faults), faults)
            && forms.insert(status, form).is_some()
        {
            faults.at_id(entry.key_source, entry.key_id, path, "given twice".to_owned());
        }
    }
    Some(forms)
}

/// `ue.forms`
pub(super) fn of_requests(f: &mut Fields<'_>, faults: &mut Collector) -> Option<Box<RequestForms>> {
    let mut f = f.fields("forms", faults)?;
    let mut read = |key, faults: &mut Collector| form(f.fields(key, faults)?, faults);
    let forms = RequestForms {
        register: read("register", faults),
        answer: read("answer", faults),
        refresh: read("refresh", faults),
        subscribe: read("subscribe", faults),
    };
    f.finish(faults);
    (forms != RequestForms::default()).then(|| Box::new(forms))
}

fn form(mut f: Fields<'_>, faults: &mut Collector) -> Option<Form> {
    let reason = f.leaf("reason", TEXT, faults);
    let headers = f.list("headers", TEXT, faults).unwrap_or_default();
    let left_out = f.list("leave_out", TOKEN, faults).unwrap_or_default();
    let form = Form::new(reason.as_deref(), &headers, &left_out);
    let form = form.map_err(|fault| faults.at(f.node(), f.path, fault.to_string())).ok();
    f.finish(faults);
    form
}
