//! What the HSS refuses (diagnoses 1.2).

use crate::kit::*;
use crate::trace::Trace;
use imsreg::cx::{CxResult, Uaa, Uar};
use imsreg::diagnose::{Certainty, Context};

fn uaa(result: CxResult) -> Trace {
    refused(first(), 1, "403 Forbidden").rewritten(Uar::COMMAND, false, move |bytes, w| {
        let uaa = Uaa::decode(bytes).expect("a UAA");
        Uaa { result, server_name: None, capabilities: None, ..uaa }.encode(w);
    })
}

const CODES: [(&str, CxResult, &str); 4] = [
    ("DIAG-HSS-UNKNOWN", CxResult::USER_UNKNOWN, "403 Forbidden - HSS User Unknown"),
    ("DIAG-IMPU-LINK", CxResult::IDENTITIES_DONT_MATCH, "403 HSS Identities not matching"),
    ("DIAG-HSS-REJECT", CxResult::AUTHORIZATION_REJECTED, "403 HSS Authorization Rejected"),
    ("DIAG-VISITED", CxResult::ROAMING_NOT_ALLOWED, "403 HSS Roaming not allowed"),
];

#[test]
fn each_code_has_its_name_and_no_other() {
    for (name, result, _) in CODES {
        let diagnosis = diagnosed(&uaa(result));
        diagnosis.caused_by(name, Certainty::Certain, "001010000000001@ims.mnc001.mcc001.3gppnetwork.org");
        assert_eq!(diagnosis.causes.len(), 1, "{diagnosis:#?}");
    }
    diagnosed(&uaa(CxResult::IDENTITY_NOT_REGISTERED)).not_by("DIAG-HSS-REJECT");
}

#[test]
fn without_cx_the_reason_phrase_tells() {
    for (name, _, phrase) in CODES {
        let trace = refused(first().gm(), 1, phrase);
        diagnosed(&trace).caused_by(name, Certainty::Likely, phrase.split_once(' ').expect("a phrase").1);
    }
    let plain = diagnosed(&refused(first().gm(), 1, "403 Forbidden"));
    CODES.iter().for_each(|(name, ..)| plain.not_by(name));
}

#[test]
fn the_nearest_identity_of_the_hss_is_told() {
    let known = ["001010000000001@ims.mnc01.mcc001.3gppnetwork.org".to_owned()];
    let context = Context { provisioned: Some(&known), ..Context::default() };
    diagnosed_in(&uaa(CxResult::USER_UNKNOWN), &context).caused_by("DIAG-HSS-UNKNOWN", Certainty::Certain, "mnc01.");
}
