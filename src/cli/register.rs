//! `imsreg register`: one UE against any P-CSCF.

use super::args::{FlagsOf, RegisterArgs};
use super::record::Record;
use super::{Failure, first_run, interrupted, network, report};
use crate::config::{load_profile, write_usim_file};
use crate::event::Role;
use crate::ims::{ElementId, Ims, Listener, Wiring};
use crate::ladder::{Columns, Options};
use crate::live::{Clock, Live, Sockets};
use crate::packet::Protocol;
use crate::time::Duration;
use crate::ue::{Ue, UeStatus};
use std::net::{IpAddr, SocketAddr, UdpSocket};

#[expect(clippy::disallowed_types, reason = "the system's choice of a source address is asked for here")]
type RouteProbe = UdpSocket;

pub(super) async fn run(args: RegisterArgs) -> Result<(), Failure> {
    let profile = load_profile(args.profile_name(), &args.settings()?)?;
    let subscription = args.ue_flags().subscription()?;
    let clock = Clock::start();

    let source = match args.source {
        Some(source) => source,
        None => SocketAddr::new(source_towards(args.pcscf)?, 0),
    };
    let mut sockets = Sockets::new();
    let listener =
        Listener { address: source, protocol: Protocol::Sip, role: Role::Ue, protected: false, tcp: true, udp: true };
    let local = sockets.bind(&listener).map_err(|e| Failure::Bind(e, FlagsOf::Register))?;
    let mut config = profile.ue(&subscription, args.pcscf, local, clock.epoch());
    config.refresh = args.stay;

    let mut ims = Ims::new(Wiring::Wire);
    let ue = ims.add(Ue::new(config, network::seed()?)).map_err(|e| Failure::Usage(e.to_string()))?;
    let record = Record::new();
    let columns = Columns::from_listeners([(local, Role::Ue), (args.pcscf, Role::Pcscf)]);
    let options = Options { columns, colour: super::colour(), ..Options::default() };
    if args.common.json {
        record.print_lines(options.clone());
    } else {
        record.keep();
    }
    if let Some(path) = &args.capture {
        record.write_to(path, clock.epoch())?;
    }
    let live =
        Live::start(ims, sockets, clock, Box::new(record.clone())).map_err(|e| Failure::Bind(e, FlagsOf::Register))?;
    let result = course(&args, &live, ue, &record, &options).await;
    if let Some(path) = &args.usim {
        let sqns = live.look(|ims| ims.element(ue).as_ue().map(|u| u.usim().sqn_array()));
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

/// Registers, stays if asked to, de-registers if asked to.
async fn course(
    args: &RegisterArgs,
    live: &Live,
    ue: ElementId,
    record: &Record,
    options: &Options,
) -> Result<(), String> {
    let patience = Duration::from_secs(u64::from(args.timeout));
    live.command(ue, |e, now, out| {
        if let Some(ue) = e.as_ue_mut() {
            ue.register(now, out);
        }
    });
    let registered = tokio::select! {
        outcome = tokio::time::timeout(patience, first_run::settled(live, ue)) => outcome.unwrap_or_else(|_| {
            let why = live.look(|ims| ims.element(ue).as_ue().and_then(|u| u.failure().map(str::to_owned)));
            Err(why.unwrap_or_else(|| format!("no final answer within {} s (--timeout)", args.timeout)))
        }),
        () = interrupted() => Err("interrupted before the registration ended".to_owned()),
    };
    if !args.common.json {
        record.with_capture(|capture| print!("{}", crate::ladder::text(capture, options)));
        if registered.is_ok() {
            println!("registered");
        }
    }
    record.forget();
    registered?;
    if args.stay {
        tokio::select! {
            () = lost(live, ue) => return Err("the registration was lost".to_owned()),
            () = interrupted() => {}
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

async fn lost(live: &Live, ue: ElementId) {
    until(live, ue, |s| matches!(s, UeStatus::Failed { .. })).await;
}

async fn until(live: &Live, ue: ElementId, wanted: impl Fn(UeStatus) -> bool) {
    while !live.look(|ims| ims.element(ue).as_ue().is_some_and(|u| wanted(u.status()))) {
        live.changed().await;
    }
}

/// The address that the system would send from.
fn source_towards(pcscf: SocketAddr) -> Result<IpAddr, Failure> {
    let any = if pcscf.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let probe = RouteProbe::bind(any).and_then(|s| s.connect(pcscf).map(|()| s));
    let address = probe.and_then(|s| s.local_addr());
    address.map(|a| a.ip()).map_err(|e| Failure::Usage(format!("--pcscf {pcscf}: no route ({e})")))
}
