//! `imsreg replay`: the recorded UE against a core, the recorded network against a UE, or both in virtual time.

mod lines;
mod live;

use super::args::{Against, ReplayArgs};
use super::record::Record;
use super::{Failure, trace};
use crate::aka::Password;
use crate::aka::usim::Usim;
use crate::config::{PlaneChoice, Profile, Setting, Subscription, load_profile, load_subscribers};
use crate::identity::{Impi, Impu, Realm};
use crate::replay::comparison::Sender;
use crate::replay::{Known, Report, Script};
use crate::sim::replay::{Stage, subscriber};
use crate::trace::story::Registration;
use crate::ue::Login;
use lines::Lines;
use std::ops::ControlFlow;

pub(super) async fn run(args: ReplayArgs) -> Result<(), Failure> {
    let (number, script) = script(&args)?;
    let known = known(&args, &script)?;
    let lines = Lines::new(&args, number, &script, &known);
    if args.pcscf.is_some() || args.listen.is_some() {
        live::run(args, script, known, lines).await
    } else {
        virtually(&args, &script, &known, lines)
    }
}

/// The registration asked for, or the first that can be played.
fn script(args: &ReplayArgs) -> Result<(u64, Script), Failure> {
    let mut source = trace::open(&args.trace)?;
    let name = args.trace.trace.display();
    let mut found = None;
    let mut refused = Vec::new();
    let (totals, fault) = trace::each_group(&mut source, |group| {
        let registration = Registration::of(group);
        match registration.id() {
            Some(id) if args.registration.is_none_or(|wanted| wanted == id) => match Script::of(&registration) {
                Ok(script) => found = Some((id, script)),
                Err(why) => refused.push(format!("registration {id}: {why}")),
            },
            _ => {}
        }
        if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    if let Some(found) = found {
        return Ok(found);
    }
    Err(Failure::Usage(match (fault, args.registration) {
        (Some(fault), _) => format!("{name}: {fault}"),
        _ if !refused.is_empty() => format!("{name}: {}", refused.join("; ")),
        (None, Some(number)) => {
            format!("{name} has no registration {number}: registrations found: {}", totals.registrations)
        }
        (None, None) => format!("{name}: there is no registration in it"),
    }))
}

/// K, or the password, of the recorded subscriber.
fn known(args: &ReplayArgs, script: &Script) -> Result<Known, Failure> {
    if let Some(password) = &args.password {
        return Ok(Known::Password(Password(password.text().into())));
    }
    let identities = script.identities();
    let impi = identities.impi.unwrap_or_default();
    let is_of = |of: &str| of == impi || impi.split('@').next() == Some(of);
    let subscribers = trace::subscribers(&args.trace)?;
    let found = subscribers.into_iter().find(|(of, _)| of.as_ref().is_none_or(|of| is_of(of)));
    if let Some((_, keys)) = found {
        return Ok(Known::Keys(keys));
    }
    let Some(path) = &args.trace.hss_data else { return Ok(Known::Nothing) };
    let subscribers = load_subscribers(path, &load_profile("lab", &[])?)?;
    let login = identities.impus.iter().find_map(|impu| subscribers.subscription_of_impu(impu)?.login);
    Ok(login.map_or(Known::Nothing, |login| Known::Password(login.password)))
}

/// Both sides, each against ours.
fn virtually(args: &ReplayArgs, script: &Script, known: &Known, mut lines: Lines) -> Result<(), Failure> {
    let profile = profile(args, script, known)?;
    let record = Record::new(None);
    if let Some(path) = &args.capture {
        record.write_to(path)?;
    }
    let esp = matches!(known, Known::Keys(_)) && profile.pcscf.ipsec != PlaneChoice::None;
    let ignored = args.ignore.clone();
    let stage = Stage { profile: &profile, known: known.clone(), ignored, speed: args.speed, esp, seed: args.seed };
    let mut reports: Vec<Report> = Vec::new();
    if args.against != Some(Against::Ue) {
        lines.begins(Sender::Ue, "our core, in virtual time");
        let store = match &args.trace.hss_data {
            Some(path) => load_subscribers(path, &profile)?.store,
            None => subscriber(script, known)
                .ok_or_else(|| Failure::Usage("no REGISTER of the recording names an identity".to_owned()))?,
        };
        let report = stage.core(script, store, record.clone())?;
        lines.entries(&report.entries);
        reports.push(report);
    }
    if args.against != Some(Against::Core) {
        match subscription(script, known) {
            Some(subscription) => {
                lines.begins(Sender::Network, "our UE, in virtual time");
                let report = stage.ue(script, &subscription, record.clone())?;
                lines.entries(&report.entries);
                reports.push(report);
            }
            None if args.against == Some(Against::Ue) => {
                return Err(Failure::Usage(format!("--against ue: {NO_UE}")));
            }
            None => lines.note(NO_UE),
        }
    }
    record.finish()?;
    lines.end(&reports)
}

/// The profile asked for; else one of a lab, in the recorded domain, that asks for what the recorded network asked for.
fn profile(args: &ReplayArgs, script: &Script, known: &Known) -> Result<Profile, Failure> {
    let mut settings = Vec::new();
    let own = |key: &str, value: &str| Setting::new("replay", key, value);
    let challenge = script.challenge();
    let is_aka = |challenge: &str| challenge.to_ascii_uppercase().contains("AKAV");
    let is_lab = script.has_agreement() || challenge.as_deref().is_some_and(is_aka);
    if args.profile.profile.is_none() {
        settings.extend(script.realm().map(|realm| own("realm", &realm)));
        if challenge.is_none() {
            settings.push(own("scscf.unauthenticated", "everybody"));
        }
    }
    // Of recorded vectors nobody knows CK and IK.
    if matches!(known, Known::Nothing) {
        settings.push(own("pcscf.accept_challenge_without_keys", "true"));
    }
    settings.extend(args.settings()?);
    let name = args.profile.profile.as_deref().unwrap_or(if is_lab { "lab" } else { "plain-digest" });
    Ok(load_profile(name, &settings)?)
}

/// What our UE subscribes to: the recorded identities; `None` without K and password.
fn subscription(script: &Script, known: &Known) -> Option<Subscription> {
    let identities = script.identities();
    let impu = script.registered()?;
    let impi = identities.impi.unwrap_or_else(|| impu.trim_start_matches("sip:").to_owned());
    let (usim, login) = match known {
        Known::Keys(keys) => (Some(Usim::new(keys.clone(), 0)), None),
        Known::Password(password) => (None, Some(Login { username: impi.as_str().into(), password: password.clone() })),
        Known::Nothing => return None,
    };
    let realm = Realm::new(script.realm()?);
    Some(Subscription { impi: Impi::new(impi), impu: Impu::new(impu), realm, usim, login })
}

const NO_UE: &str =
    "without K or the password our UE cannot verify AUTN nor answer: the recorded network is not played against it";
