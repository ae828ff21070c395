//! Opening a trace with the keys that flags give: what all commands on traces share.

use super::Failure;
use super::args::TraceArgs;
use super::progress::Watched;
use crate::aka::milenage::Milenage;
use crate::aka::vector::SubscriberKeys;
use crate::aka::{K, Op, Opc};
use crate::config::{PlaneChoice, load_profile, load_subscribers};
use crate::live::hep::{self, Place};
use crate::pcscf::SecAgreePolicy;
use crate::trace::keys::Keyring;
use crate::trace::story::{Group, Limits, Story, Totals};
use crate::trace::{Fault, Options, Trace};
use crate::validate::Context;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::Path;

/// Any source of octets.
pub(super) type Source = Box<dyn Read>;

/// A trace that is open.
pub(super) type Opened = Trace<Source>;

/// Opens the trace. What is no trace is bad input.
pub(super) fn open(args: &TraceArgs) -> Result<Opened, Failure> {
    open_source(args, source(args)?)
}

/// A file, standard input, or a socket.
pub(super) fn source(args: &TraceArgs) -> Result<Source, Failure> {
    let name = args.trace.display();
    if let Some(place) = args.trace.to_str().and_then(Place::of) {
        return listen(place.map_err(Failure::Usage)?);
    }
    if args.trace == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(&args.trace).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
    Ok(Box::new(Watched::new(file)))
}

/// HEP packets until Ctrl-C or SIGTERM.
fn listen(place: Place) -> Result<Source, Failure> {
    let wait = |begun: &dyn Fn()| {
        // Without a runtime there is no signal to wait for, and the trace ends at once.
        let _ = super::in_runtime(async {
            let mut interrupt = super::Interrupt::install()?;
            begun();
            interrupt.wait().await;
            Ok(())
        });
    };
    let (source, at) = hep::Source::listen(place, wait).map_err(|error| Failure::Usage(format!("{place}: {error}")))?;
    eprintln!("imsreg: listening on {at}; Ctrl-C ends the trace");
    Ok(Box::new(source))
}

/// Opens what a source brings.
pub(super) fn open_source(args: &TraceArgs, source: Source) -> Result<Opened, Failure> {
    if args.trace.to_str().and_then(Place::of).is_some() {
        return Ok(crate::trace::receive(source));
    }
    let name = args.trace.display();
    let options = Options { keys: keyring(args)?, ..Options::default() };
    crate::trace::open(source, options).map_err(|fault| Failure::Usage(format!("{name}: {fault}")))
}

/// Reads a trace to its end, and hands out each registration when it is complete, for as long as `take` wants more. Returns
/// what there was, and why the reading ended early, if it did.
pub(super) fn each_group(
    source: &mut Trace<impl Read>,
    mut take: impl FnMut(&Group) -> ControlFlow<()>,
) -> (Totals, Option<Fault>) {
    let mut story = Story::new(Limits::default());
    let mut fault = None;
    loop {
        let next = source.next();
        let has_ended = !matches!(next, Some(Ok(_)));
        match next {
            Some(Ok(sighting)) => story.see(sighting),
            Some(Err(error)) => fault = Some(error),
            None => {}
        }
        if let Some(until) = source.until() {
            story.passed(until);
        }
        if has_ended {
            story.finish();
        }
        while let Some(group) = story.next() {
            if take(&group).is_break() {
                return (story.totals().clone(), fault);
            }
        }
        if has_ended {
            return (story.totals().clone(), fault);
        }
    }
}

fn keyring(args: &TraceArgs) -> Result<Keyring, Failure> {
    let mut keys = Keyring::new();
    if let Some(path) = &args.keys {
        let name = path.display();
        let text = fs::read_to_string(path).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
        let file = keys.add_file(&text);
        for ignored in &file.ignored {
            eprintln!("imsreg: {name}:{}: {}", ignored.line, ignored.reason);
        }
        if file.added == 0 {
            return Err(Failure::Usage(format!(
                "{name}: no line of it is a key; expected those of an esp_sa of Wireshark"
            )));
        }
    }
    for (impi, subscriber) in subscribers(args)? {
        keys.add_subscriber(impi.as_deref(), subscriber);
    }
    Ok(keys)
}

/// The keys of subscribers, by private identity or its IMSI; `None`: of everybody else.
pub(super) fn subscribers(args: &TraceArgs) -> Result<Vec<(Option<String>, SubscriberKeys)>, Failure> {
    let mut all = Vec::new();
    if let Some(path) = &args.hss_data {
        let profile = load_profile("lab", &[])?;
        let subscribers = load_subscribers(path, &profile)?;
        for subscription in (0..MOST_SUBSCRIBERS).map_while(|index| subscribers.subscription(index)) {
            if let Some(usim) = &subscription.usim {
                all.push((Some(subscription.impi.as_str().to_owned()), usim.keys().clone()));
            }
        }
    }
    all.extend(subscriber(args)?.map(|keys| (args.imsi.clone(), keys)));
    Ok(all)
}

/// The keys of a private identity, among those of [`subscribers`].
pub(super) fn keys_of<'k>(
    subscribers: &'k [(Option<String>, SubscriberKeys)],
    impi: &str,
) -> Option<&'k SubscriberKeys> {
    let is_of = |of: &String| of == impi || impi.split('@').next() == Some(of);
    subscribers.iter().find(|(of, _)| of.as_ref().is_none_or(is_of)).map(|(_, keys)| keys)
}

/// What the network allows, by its profile.
pub(super) fn policy(profile: Option<&str>) -> Result<Context<'static>, Failure> {
    let Some(name) = profile else { return Ok(Context::default()) };
    let profile = load_profile(name, &[])?;
    Ok(Context {
        sec_agree_required: Some(profile.pcscf.sec_agree == SecAgreePolicy::Required),
        pcscf_port: profile.pcscf.listen.first().map(SocketAddr::port),
        esp_is_off: profile.pcscf.ipsec == PlaneChoice::None,
        ..Context::default()
    })
}

/// OP, as its flag gives it.
pub(super) fn op(args: &TraceArgs) -> Result<Option<Op>, Failure> {
    args.op.as_ref().map(|op| octets(op, "--op").map(Op)).transpose()
}

fn octets(key: &super::args::KeyArg, flag: &str) -> Result<[u8; 16], Failure> {
    key.octets().ok_or_else(|| Failure::Usage(format!("{flag}: expected 32 hexadecimal digits")))
}

/// K with OPc or OP, as flags give them.
fn subscriber(args: &TraceArgs) -> Result<Option<SubscriberKeys>, Failure> {
    let usage = |text: &str| Failure::Usage(text.to_owned());
    let Some(k) = &args.k else {
        return match (&args.opc, &args.op) {
            (None, None) => Ok(None),
            _ => Err(usage("--opc and --op need --k")),
        };
    };
    let k = K(octets(k, "--k")?);
    let opc = match (&args.opc, &args.op) {
        (Some(opc), _) => Opc(octets(opc, "--opc")?),
        (None, Some(op)) => Milenage::opc(&k, &Op(octets(op, "--op")?)),
        (None, None) => return Err(usage("--k needs --opc or --op")),
    };
    Ok(Some(SubscriberKeys::Milenage { k, opc }))
}

/// Of a file with ranges, as many as are tried.
const MOST_SUBSCRIBERS: u64 = 20_000;
