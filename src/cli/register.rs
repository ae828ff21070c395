//! `imsreg register`: one UE against any P-CSCF; with --count many of them ([`many`]).

use super::args::{FlagsOf, RegisterArgs};
use super::record::Record;
use super::{Failure, Interrupt, first_run, many, mutation, network, report, tls};
use crate::aka::usim::Usim;
use crate::config::{PlaneChoice, Profile, Subscription, UeSection, load_device, load_subscribers, write_usim_file};
use crate::event::Role;
use crate::ims::{ElementId, Fault, Ims, Listener, Whom, Wiring};
use crate::ladder::{Columns, Options};
use crate::live::plane::OpenPlane;
use crate::live::{Clock, Live, Sockets};
use crate::mutation::Mutation;
use crate::packet::{Outbox, Transport};
use crate::random::Random;
use crate::sim::names_of;
use crate::time::{Duration, Instant};
use crate::ue::{Misbehaviour, Ue, UeConfig, UeStatus};
use std::net::{IpAddr, SocketAddr};
use tokio::sync::mpsc::{self, UnboundedReceiver};

#[expect(clippy::disallowed_types, reason = "the system is asked here for a source address and for free ports")]
type RouteProbe = std::net::UdpSocket;

pub(super) async fn run(args: RegisterArgs) -> Result<(), Failure> {
    let mut interrupt = Interrupt::install()?;
    let fault = args.mutate.as_deref().map(mutation::load).transpose()?;
    let mut settings = args.settings()?;
    settings.extend(fault.iter().flat_map(|fault| fault.settings.iter().chain(&fault.ue_settings)).cloned());
    let profile = load_device(args.profile_name(), args.ue.device.as_deref(), &settings)?;
    if let Some(fault) = &fault {
        mutation::possible(fault, profile.ue.ipsec, &[Role::Ue])?;
    }
    if args.count > 1 {
        return many::run(&args, &profile, fault, interrupt).await;
    }
    let subscription = subscription(&args, &profile)?;
    servable(&profile, &subscription)?;
    if let Some(how) = args.misbehave.filter(|how| how.needs_esp())
        && matches!(profile.ue.ipsec, PlaneChoice::None | PlaneChoice::Kernel)
    {
        let how = how.as_str();
        return Err(Failure::Usage(format!(
            "--misbehave {how}: shows in ESP of our own only; --ipsec userspace has it"
        )));
    }
    let clock = Clock::start();

    let source = match args.source {
        Some(source) => source,
        None => SocketAddr::new(source_towards(args.pcscf)?, 0),
    };
    let mut sockets = sockets(&args, &profile).await?;
    let listener = Listener::sip(source, Role::Ue);
    let local = sockets.bind(&listener).map_err(|e| Failure::Bind(e, FlagsOf::Register))?;
    let mut random = network::seed()?;
    let config = ue_config(&args, &profile, &subscription, local, clock, &mut random);
    let mut ims = Ims::new(Wiring::Wire);
    let mut ue = Ue::new(config, random);
    ue.misbehave(args.misbehave.or_else(|| fault.as_ref().and_then(|fault| fault.misbehaviour)));
    let ue = ims.add(ue).map_err(|e| Failure::Usage(e.to_string()))?;
    let record = Record::new(Some(clock));
    let columns = Columns::from_listeners([(local, Role::Ue), (args.pcscf, Role::Pcscf)]);
    let options = Options { columns, colour: super::colour(), ..Options::default() };
    if args.common.json {
        record.print_lines(options.clone());
    } else {
        record.keep();
    }
    if let Some(path) = &args.capture {
        record.write_to(path)?;
    }
    let live =
        Live::start(ims, sockets, clock, Box::new(record.clone())).map_err(|e| Failure::Bind(e, FlagsOf::Register))?;
    live.mutate(fault.map(|fault| of(ue, &[&subscription], fault.mutation)));
    let result = course(&args, &live, ue, &record, &options, &mut interrupt).await;
    if let Some(path) = &args.ue.usim {
        let sqns = live.look(|ims| ims.element(ue).as_ue().and_then(|u| u.usim().map(Usim::sqn_array)));
        if let Some(sqns) = sqns {
            write_usim_file(path, &sqns).map_err(|e| Failure::Usage(format!("--usim {}: {e}", path.display())))?;
        }
    }
    live.stop(Duration::from_secs(1)).await;
    if args.common.json {
        report::report_json(result.as_ref().err().map(String::as_str));
    }
    record.finish()?;
    result.map_err(Failure::Failed)
}

/// A fault of this UE, the first of these subscribers.
pub(super) fn of(ue: ElementId, subscriptions: &[&Subscription], mutation: Mutation) -> Fault {
    let names = names_of(subscriptions.iter().map(|of| (&of.impi, &of.impu, &of.realm)));
    let impi = subscriptions.first().map(|of| of.impi.as_str()).unwrap_or_default();
    let whom = Whom::Own(ue, impi.split_once('@').map_or(impi, |(user, _)| user).into());
    Fault { whom, mutation, names }
}

/// Refuses a subscription that the profile cannot serve.
pub(super) fn servable(profile: &Profile, subscription: &Subscription) -> Result<(), Failure> {
    match profile.ue_fault(subscription) {
        Some(fault) => Err(Failure::Usage(format!("--transport tls: {fault}"))),
        None => Ok(()),
    }
}

/// None yet, over the plane that the UE is to have.
pub(super) async fn sockets(args: &RegisterArgs, profile: &Profile) -> Result<Sockets, Failure> {
    let mut sockets = Sockets::over(OpenPlane::open(profile.ue.ipsec, profile.ue.esp_port, network::seed()?).await?);
    if profile.ue.transport == Transport::Tls {
        sockets.speak(tls::of_ue(args)?);
    }
    Ok(sockets)
}

/// What a UE at `local` is configured to do.
pub(super) fn ue_config(
    args: &RegisterArgs,
    profile: &Profile,
    subscription: &Subscription,
    local: SocketAddr,
    clock: Clock,
    random: &mut Random,
) -> UeConfig {
    let mut config = profile.ue(subscription, args.pcscf, local, clock.epoch());
    config.refresh = args.stay;
    // Without --stay the command ends at the 200.
    config.subscribe &= args.stay;
    config.protected_ports = protected_ports(&profile.ue, local.ip(), random);
    config
}

/// From flags, or from a subscriber file.
fn subscription(args: &RegisterArgs, profile: &Profile) -> Result<Subscription, Failure> {
    let Some(file) = &args.subscriber else { return Ok(args.ue_flags().subscription()?) };
    let subscribers = load_subscribers(file, profile)?;
    let (flag, text, found) = match (&args.imsi, &args.impu) {
        (Some(imsi), _) => ("--imsi", imsi.as_str(), subscribers.subscription_of(imsi)),
        (None, impu) => {
            let impu = impu.as_deref().unwrap_or_default();
            ("--impu", impu, subscribers.subscription_of_impu(impu))
        }
    };
    found.ok_or_else(|| {
        Failure::Usage(format!("{flag} {text}: no subscriber of {} whose keys are known", file.display()))
    })
}

/// Registers, stays if asked to, de-registers if asked to.
async fn course(
    args: &RegisterArgs,
    live: &Live,
    ue: ElementId,
    record: &Record,
    options: &Options,
    interrupt: &mut Interrupt,
) -> Result<(), String> {
    let patience = Duration::from_secs(u64::from(args.timeout));
    live.command(ue, |e, now, out| {
        if let Some(ue) = e.as_ue_mut() {
            ue.register(now, out);
        }
    });
    let registered = tokio::select! {
        outcome = tokio::time::timeout(patience, first_run::settled(live, ue, first_run::Patience::GivenUp)) => outcome.unwrap_or_else(|_| {
            let why = live.look(|ims| ims.element(ue).as_ue().and_then(|u| u.failure().map(str::to_owned)));
            Err(why.unwrap_or_else(|| format!("no final answer within {} s (--timeout)", args.timeout)))
        }),
        () = interrupt.wait() => Err("interrupted before the registration ended".to_owned()),
    };
    if !args.common.json {
        record.with_capture(|capture| print!("{}", crate::ladder::text(capture, options)));
        if registered.is_ok() {
            println!("registered");
        }
    }
    record.forget();
    registered?;
    if let Some(to) = &args.message {
        message(live, ue, to, record, patience).await?;
        if !args.common.json {
            println!("message delivered");
        }
    }
    if args.misbehave == Some(Misbehaviour::ReusedSpi) {
        // The first offer was honest: it takes a second one to offer the same SPIs.
        live.command(ue, |e, now, out| e.as_ue_mut().map(|ue| ue.register(now, out)));
        lost_or(live, ue, patience).await?;
    }
    if args.stay {
        tokio::select! {
            () = lost(live, ue) => return Err("the registration was lost".to_owned()),
            () = interrupt.wait() => {}
            () = obey(live, ue), if args.orders => {}
        }
    }
    if args.deregister {
        live.command(ue, |e, now, out| {
            if let Some(ue) = e.as_ue_mut() {
                ue.deregister(now, out);
            }
        });
        let gone = tokio::time::timeout(patience, until(live, ue, |s| s == UeStatus::Idle)).await;
        gone.map_err(|_| format!("the de-registration was not answered within {} s (--timeout)", args.timeout))?;
        if !args.common.json {
            println!("de-registered");
        }
    }
    Ok(())
}

/// Does what standard input says, for ever. What a UE cannot do now, it does not.
async fn obey(live: &Live, ue: ElementId) {
    let mut orders = stdin_lines();
    while let Some(line) = orders.recv().await {
        let done = live.command(ue, |e, now, out| e.as_ue_mut().map(|ue| order(ue, line.trim(), now, out))).flatten();
        if let Some(why) = done {
            eprintln!("imsreg: {line}: {why}");
        }
    }
    std::future::pending().await
}

/// Why it cannot be done.
fn order(ue: &mut Ue, line: &str, now: Instant, out: &mut Outbox) -> Option<String> {
    match line.split_once(' ').unwrap_or((line, "")) {
        ("register", "") => ue.register(now, out),
        ("deregister", "") => ue.deregister(now, out),
        ("second-identity", "") => match ue.associated().get(1).cloned() {
            Some(second) => return ue.register_identity(now, second, out).err().map(|e| e.to_string()),
            None => return Some("there is none".to_owned()),
        },
        ("message", to) => return ue.message(now, to, "text/plain", b"hello", out).err().map(|e| e.to_string()),
        _ => return Some("register, deregister, second-identity or message URI expected".to_owned()),
    }
    None
}

/// Lines of standard input as they come. The system has no other way to wait for a terminal and for a pipe alike.
#[expect(clippy::disallowed_methods, reason = "reading standard input blocks; protocol code knows nothing of it")]
fn stdin_lines() -> UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Sends a MESSAGE and waits for its final answer.
async fn message(live: &Live, ue: ElementId, to: &str, record: &Record, patience: Duration) -> Result<(), String> {
    let body = b"hello";
    let sent = live.command(ue, |e, now, out| e.as_ue_mut().map(|ue| ue.message(now, to, "text/plain", body, out)));
    sent.transpose().map_err(|error| format!("--message {to}: {error}"))?;
    let answered = async {
        loop {
            if let Some(status) = record.answered() {
                return status;
            }
            live.changed().await;
        }
    };
    match tokio::time::timeout(patience, answered).await {
        Ok(200..=299) => Ok(()),
        Ok(0) | Err(_) => Err(format!("--message {to}: no final answer")),
        Ok(status) => Err(format!("--message {to}: {status}")),
    }
}

/// Waits for the end of the re-registration: an error where it was refused.
async fn lost_or(live: &Live, ue: ElementId, patience: Duration) -> Result<(), String> {
    let look =
        || live.look(|ims| ims.element(ue).as_ue().map(|u| (u.is_registering(), u.failure().map(str::to_owned))));
    let settled = async {
        while let Some((true, _)) = look() {
            live.changed().await;
        }
    };
    let _ = tokio::time::timeout(patience, settled).await;
    look().and_then(|(_, failure)| failure).map_or(Ok(()), Err)
}

async fn lost(live: &Live, ue: ElementId) {
    until(live, ue, |s| matches!(s, UeStatus::Failed { .. })).await;
}

async fn until(live: &Live, ue: ElementId, wanted: impl Fn(UeStatus) -> bool) {
    while !live.look(|ims| ims.element(ue).as_ue().is_some_and(|u| wanted(u.status()))) {
        live.changed().await;
    }
}

/// Where the profile says nothing, ports drawn by lot: a P-CSCF tells UEs of one address apart by them, and it remembers
/// those of a UE that is gone for as long as its registration lasts.
pub(super) fn protected_ports(section: &UeSection, ip: IpAddr, random: &mut Random) -> (u16, u16) {
    let is_free = |port: &u16| [*port, *port + 1].iter().all(|port| RouteProbe::bind((ip, *port)).is_ok());
    let mut draw = || FIRST_DRAWN + 2 * u16::try_from(random.below(PAIRS)).expect("PAIRS has fewer than 16 bits");
    // Should all be taken, the attempt says so when it opens them.
    let drawn = (0..DRAWS).map(|_| draw()).find(is_free).unwrap_or(FIRST_DRAWN);
    (section.port_c.unwrap_or(drawn), section.port_s.unwrap_or(drawn + 1))
}

/// The address that the system would send from.
pub(super) fn source_towards(pcscf: SocketAddr) -> Result<IpAddr, Failure> {
    let any = if pcscf.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let probe = RouteProbe::bind(any).and_then(|s| s.connect(pcscf).map(|()| s));
    let address = probe.and_then(|s| s.local_addr());
    address.map(|a| a.ip()).map_err(|e| Failure::Usage(format!("--pcscf {pcscf}: no route ({e})")))
}

/// Pairs of ports to draw from: below those that systems give to clients, with room for the ports of later sets.
const FIRST_DRAWN: u16 = 20_480;
const PAIRS: u32 = 5_120;
const DRAWS: u32 = 16;
