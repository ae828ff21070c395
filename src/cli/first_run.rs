//! `imsreg` without a command: a whole network on loopback, one UE that registers, the ladder.

use super::args::{FirstRunArgs, FlagsOf};
use super::record::Record;
use super::{Failure, Interrupt, network, report};
use crate::config::{Elements, PlaneChoice, load_profile, load_subscribers};
use crate::ims::ElementId;
use crate::ladder::{Columns, Options};
use crate::live::plane::OpenPlane;
use crate::live::{Clock, Live};
use crate::time::Duration;
use crate::ue::{Ue, UeStatus};

pub(super) async fn run(args: FirstRunArgs) -> Result<(), Failure> {
    let mut interrupt = Interrupt::install()?;
    let mut profile = load_profile(args.profile.name(), &args.settings()?)?;
    let subscribers = load_subscribers(&args.hss_data(), &profile)?;
    let Some(subscription) = subscribers.subscription(0) else {
        return Err(Failure::Usage(nobody_to_simulate(&args)));
    };
    if let Some(fault) = profile.ue_fault(&subscription) {
        return Err(Failure::Usage(format!("ue.transport: {fault}")));
    }
    let another = subscribers.subscription_of(report::ANOTHER_IMSI).is_some();
    if !args.common.json {
        println!("profile {}, subscribers {}", report::list(&profile.origins), report::list(&subscribers.origins));
    }

    if (profile.pcscf.ipsec, profile.ue.ipsec) != (PlaneChoice::None, PlaneChoice::None) {
        let why =
            "the first run has both ends of Gm in one process, which takes no plane but none: use serve and register";
        return Err(Failure::Usage(format!("ipsec: {why}")));
    }
    let clock = Clock::start();
    let mut network = network::build(
        &mut profile,
        Elements::ALL,
        Some(subscribers),
        None,
        clock,
        FlagsOf::FirstRun,
        OpenPlane::default(),
    )?;
    let pcscf = profile.pcscf_for_ue();
    let mut ue = profile.ue(&subscription, pcscf, profile.ue.address, clock.epoch());
    // As handsets do; nobody would see it where the run ends at the 200.
    ue.subscribe = !args.once;
    let ue = network
        .ims
        .add(Ue::new(ue, network.random.fork()))
        .map_err(|e| Failure::Usage(format!("{e}; choose another with --ue ADDR:PORT")))?;

    let record = Record::new(Some(clock));
    let columns = Columns::from_listeners(network.ims.listeners().iter().map(|l| (l.address, l.role)));
    let options = Options { columns, show_keys: args.show_keys, colour: super::colour() };
    record.keep();
    if args.common.json {
        record.print_lines(options.clone());
    }
    if let Some(path) = &args.capture {
        record.write_to(path)?;
        report::warn_of_keys();
    }
    let listeners = network.ims.listeners();
    let live = Live::start(network.ims, network.sockets, clock, Box::new(record.clone()))
        .map_err(|e| Failure::Bind(e, FlagsOf::FirstRun))?;
    if args.common.json {
        report::ready_json(&listeners, &profile.realm, None);
    }
    live.command(ue, |e, now, out| {
        if let Some(ue) = e.as_ue_mut() {
            ue.register(now, out);
        }
    });

    let registered = tokio::select! {
        outcome = settled(&live, ue, Patience::FirstFailure) => outcome,
        () = interrupt.wait() => Err("interrupted before the registration ended".to_owned()),
    };
    if !args.once && registered.is_ok() {
        quiet(&live).await;
    }
    if !args.common.json {
        if let Some((first, second)) = record.with_capture(|capture| crate::ladder::texts(capture, &options)) {
            print!("{first}");
            if let Some(second) = second.filter(|_| !args.once) {
                print!("\nWhat followed the 200:\n{second}");
            }
        }
        if registered.is_ok() {
            print!("{}", report::next_steps(&profile, another, args.once));
        }
    }
    record.forget();
    if !args.once && registered.is_ok() {
        interrupt.wait().await;
    }
    live.stop(Duration::from_secs(2)).await;
    if args.common.json {
        report::report_json(registered.as_ref().err().map(String::as_str));
    }
    record.finish()?;
    registered.map_err(Failure::Failed)
}

/// Waits until nothing happens any more, but not for long: what follows a registration follows at once.
async fn quiet(live: &Live) {
    let longest = tokio::time::sleep(Duration::from_secs(2));
    tokio::pin!(longest);
    loop {
        tokio::select! {
            () = live.changed() => {}
            () = tokio::time::sleep(Duration::from_millis(200)) => return,
            () = &mut longest => return,
        }
    }
}

/// Subscribers of a trace have recorded challenges and no keys: nobody can compute their answers.
fn nobody_to_simulate(args: &FirstRunArgs) -> String {
    format!(
        "{}: no subscriber has a key, so there is no UE to simulate; play a UE from outside against `imsreg serve \
         --profile {}`, or take a file of subscribers with keys: --hss-data hss-data/lab.yaml",
        args.hss_data().display(),
        args.profile.name()
    )
}

/// Until when a UE is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// An attempt has failed: whoever looks on should hear why.
    FirstFailure,
    /// It has given up.
    GivenUp,
}

/// Waits until the UE is registered, or has failed.
pub(super) async fn settled(live: &Live, ue: ElementId, patience: Patience) -> Result<(), String> {
    loop {
        let look = live.look(|ims| {
            let ue = ims.element(ue).as_ue()?;
            Some((ue.status(), ue.failure().map(str::to_owned)))
        });
        match look {
            Some((UeStatus::Registered, _)) => return Ok(()),
            Some((UeStatus::Failed { status }, why)) => {
                return Err(why.unwrap_or_else(|| format!("the registration failed with status {status}")));
            }
            Some((UeStatus::Waiting, why)) if patience == Patience::FirstFailure => {
                return Err(why.unwrap_or_else(|| "the registration failed".to_owned()));
            }
            _ => live.changed().await,
        }
    }
}
