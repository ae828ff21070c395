//! User data: `user_data.json`, the corpus, and whatever else there may be.

use imsreg::cx::user_data::*;
use proptest::prelude::*;
use serde_json::Value;
use std::sync::LazyLock;

#[path = "../fuzz/properties/user_data.rs"]
mod property;

static CASES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let mut file: Value = serde_json::from_str(include_str!("data/vectors/user_data.json")).unwrap();
    std::mem::take(file["user_data"].as_array_mut().unwrap())
});

#[test]
fn valid_and_invalid_as_the_schema_says() {
    assert_eq!(CASES.len(), 19);
    for case in &*CASES {
        let parsed = ImsSubscription::parse(xml(case));
        assert_eq!(parsed.is_ok(), case["valid"] == true, "{}: {parsed:?}", case["id"]);
    }
}

#[test]
fn default_identity_and_p_associated_uri() {
    let mut seen = 0;
    for case in CASES.iter().filter(|case| case.get("p_associated_uri").is_some()) {
        let subscription = ImsSubscription::parse(xml(case)).unwrap();
        assert_eq!(subscription.default_impu(), case["default_impu"].as_str(), "{}", case["id"]);
        let expected: Vec<&str> =
            case["p_associated_uri"].as_array().unwrap().iter().map(|uri| uri.as_str().unwrap()).collect();
        assert_eq!(subscription.associated_uris().collect::<Vec<_>>(), expected, "{}", case["id"]);
        let barred: Vec<&str> = subscription.profiles[0]
            .identities
            .iter()
            .filter(|identity| identity.barred)
            .map(|identity| &*identity.identity)
            .collect();
        if let Some(expected) = case["barred"].as_array() {
            assert_eq!(barred, expected.iter().map(|uri| uri.as_str().unwrap()).collect::<Vec<_>>());
        }
        seen += 1;
    }
    assert_eq!(seen, 5);
}

#[test]
fn what_is_written_is_what_was_read() {
    for case in CASES.iter().filter(|case| case["valid"] == true) {
        let subscription = ImsSubscription::parse(xml(case)).unwrap();
        assert_eq!(ImsSubscription::parse(&written(&subscription)).unwrap(), subscription, "{}", case["id"]);
    }
    // No element is left out or moved where the vector has no default spelt out.
    for id in ["minimal", "implicit-set-barred-temp", "ifc-register-includes", "shared-ifc", "media-profile", "psi"] {
        let case = find(id);
        let again = written(&ImsSubscription::parse(xml(case)).unwrap());
        assert_eq!(String::from_utf8(again).unwrap(), case["xml"].as_str().unwrap(), "{id}");
    }
}

/// field-lessons.md 63: empty IncludeRegister elements count, shared sets are kept.
#[test]
fn filter_criteria_are_read_to_the_last_element() {
    let subscription = ImsSubscription::parse(xml(find("ifc-register-includes"))).unwrap();
    let [criteria] = &subscription.profiles[0].filter_criteria[..] else { panic!("{subscription:?}") };
    assert_eq!((criteria.priority, criteria.registered_part), (1, Some(true)));
    let server = &criteria.server;
    assert!(server.include_register_request && server.include_register_response && !server.terminate_on_failure);
    assert_eq!(server.service_info.as_deref(), Some("abc<def"));
    let trigger = criteria.trigger.as_ref().unwrap();
    assert!(trigger.cnf);
    assert_eq!(
        trigger.conditions,
        [Spt {
            negated: false,
            groups: vec![0],
            condition: Condition::Method("REGISTER".into()),
            registration_types: vec![0, 2],
        }]
    );
    let shared = ImsSubscription::parse(xml(find("shared-ifc"))).unwrap();
    assert_eq!(shared.profiles[0].shared_ifc_sets, [7]);
    let wildcarded = ImsSubscription::parse(xml(find("wildcarded-impu"))).unwrap();
    let identity = &wildcarded.profiles[0].identities[1];
    assert_eq!(identity.kind, IdentityType::WildcardedPublicUserIdentity);
    assert_eq!(identity.display_name.as_deref(), Some("pbx"));
    assert_eq!(identity.wildcard.as_deref(), Some(&*identity.identity));
}

#[test]
fn a_fault_names_its_element() {
    let fault = |id| ImsSubscription::parse(xml(find(id))).unwrap_err().to_string();
    assert_eq!(fault("no-private-id"), "user data: is missing in IMSSubscription/PrivateID");
    assert_eq!(fault("no-service-profile"), "user data: is missing in IMSSubscription/ServiceProfile");
    let criteria = "IMSSubscription/ServiceProfile/InitialFilterCriteria";
    assert_eq!(fault("ifc-without-as"), format!("user data: is missing in {criteria}/ApplicationServer"));
    assert_eq!(
        fault("default-handling-2"),
        format!("user data: is none of the values allowed in {criteria}/ApplicationServer/DefaultHandling")
    );
    assert_eq!(
        fault("identity-before-barring"),
        "user data: is not expected here in IMSSubscription/ServiceProfile/PublicIdentity/BarringIndication"
    );
}

#[test]
fn forms_that_xml_allows() {
    let profile = |inside: &str| {
        let xml = format!(
            "<IMSSubscription xmlns:x='urn:x'>\n <PrivateID> u@r </PrivateID> <!-- c -->\n\
             <ServiceProfile><PublicIdentity><Identity>sip:u@r</Identity>{inside}</PublicIdentity></ServiceProfile>\n\
             <Extension><Anything><Deep/></Anything></Extension></IMSSubscription>\n"
        );
        ImsSubscription::parse(xml.as_bytes())
    };
    let plain = profile("").unwrap();
    assert_eq!(plain.private_id, "u@r");
    let extended = |inside: &str| profile(&format!("<Extension>{inside}</Extension>"));
    assert_eq!(
        extended("<New>1</New><IdentityType>1</IdentityType><x:y><IdentityType/></x:y>").unwrap().profiles[0]
            .identities[0]
            .kind,
        IdentityType::DistinctPsi
    );
    let name = |text: &str| {
        let xml = extended(&format!(
            "<IdentityType>0</IdentityType><Extension><DisplayName>{text}</DisplayName></Extension>"
        ));
        xml.map(|s| s.profiles[0].identities[0].display_name.clone().unwrap())
    };
    assert_eq!(name("a&amp;b&#x41;<![CDATA[<c>]]><!-- no -->d").unwrap(), "a&bA<c>d");
    for refused in ["&unknown;", "&#xffffffff;", "<b/>", "a</b>"] {
        assert!(name(refused).is_err(), "{refused}");
    }
    assert!(profile("<Unknown/>").is_err());
    assert!(profile("text").is_err());
    for refused in ["", "<IMSSubscription/>", "<!DOCTYPE a [<!ENTITY b 'c'>]><IMSSubscription/>", "<a/>"] {
        assert!(ImsSubscription::parse(refused.as_bytes()).is_err(), "{refused}");
    }
    let twice = "<InitialFilterCriteria><Priority>1</Priority><ApplicationServer><ServerName>sip:a</ServerName>\
                 </ApplicationServer></InitialFilterCriteria>";
    let xml = written(&plain);
    let with = |n: usize| {
        let text = String::from_utf8(xml.clone()).unwrap();
        text.replace("</ServiceProfile>", &format!("{}</ServiceProfile>", twice.repeat(n)))
    };
    assert!(ImsSubscription::parse(with(1).as_bytes()).is_ok());
    assert!(ImsSubscription::parse(with(2).as_bytes()).is_err(), "priorities are unique");
}

#[test]
fn user_data_of_the_corpus() {
    let Some(folder) = shared("corpus/diameter") else { return };
    let subscription = ImsSubscription::parse(&std::fs::read(folder.join("user-data-01.xml")).unwrap()).unwrap();
    assert_eq!(subscription.default_impu(), Some("tel:0398765432100"));
    assert_eq!(subscription.profiles[0].filter_criteria[0].trigger.as_ref().unwrap().conditions.len(), 12);
    assert_eq!(ImsSubscription::parse(&written(&subscription)).unwrap(), subscription);
    let hex: String = std::fs::read_to_string(folder.join("cx-saa-01.hex")).unwrap().split_whitespace().collect();
    let saa = data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).unwrap();
    let saa = imsreg::cx::Saa::decode(&saa).unwrap();
    assert_eq!(ImsSubscription::parse(saa.user_data.unwrap()).unwrap(), subscription);
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        property::user_data(&bytes);
    }

    #[test]
    fn one_octet_changed_is_refused_or_read_and_written_alike(
        case in 0_usize..19,
        at in any::<prop::sample::Index>(),
        value: u8,
    ) {
        let mut bytes = xml(&CASES[case]).to_vec();
        let at = at.index(bytes.len());
        bytes[at] = value;
        property::user_data(&bytes);
    }

    #[test]
    fn any_text_survives(name in "[^\u{0}-\u{1f}\u{fffe}\u{ffff}]{1,20}", info: Option<String>) {
        let mut identity = PublicIdentity::new("sip:u@r");
        identity.display_name = Some(name);
        let info = info.map(|i| i.replace(|c: char| c.is_control() || c > '\u{fffd}', ""));
        let server = ApplicationServer {
            server_name: "sip:as".into(),
            terminate_on_failure: true,
            service_info: info,
            include_register_request: false,
            include_register_response: true,
        };
        let criteria = InitialFilterCriteria { priority: 0, trigger: None, server, registered_part: Some(false) };
        let profile = ServiceProfile {
            identities: vec![identity],
            filter_criteria: vec![criteria],
            ..ServiceProfile::default()
        };
        let subscription = ImsSubscription { private_id: "u@r".into(), profiles: vec![profile] };
        prop_assert_eq!(ImsSubscription::parse(&written(&subscription)), Ok(subscription));
    }
}

fn find(id: &str) -> &'static Value {
    CASES.iter().find(|case| case["id"] == id).unwrap()
}

fn xml(case: &Value) -> &[u8] {
    case["xml"].as_str().unwrap().as_bytes()
}

fn written(subscription: &ImsSubscription) -> Vec<u8> {
    let mut out = Vec::new();
    subscription.write(&mut out);
    out
}

/// A folder beside the repository, by IMSREG_SHARED or `../shared`.
fn shared(path: &str) -> Option<std::path::PathBuf> {
    let root = std::env::var_os("IMSREG_SHARED")
        .map_or_else(|| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), Into::into);
    let found = Some(root.join(path)).filter(|p| p.exists());
    if found.is_none() {
        println!("not run: no {path} beside the repository (IMSREG_SHARED)");
    }
    found
}
