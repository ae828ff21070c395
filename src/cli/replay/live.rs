//! A recording against somebody else, over sockets.

use super::lines::Lines;
use crate::cli::args::{FlagsOf, ReplayArgs};
use crate::cli::record::Record;
use crate::cli::{Failure, Interrupt, network, register};
use crate::config::{PlaneChoice, Profile, load_profile};
use crate::event::Role;
use crate::ims::{ElementId, Ims, Listener, Wiring};
use crate::live::plane::OpenPlane;
use crate::live::{Clock, Live, Sockets};
use crate::replay::comparison::Sender;
use crate::replay::{Known, Player, PlayerConfig, Script};
use crate::time::Duration;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

pub(super) async fn run(args: ReplayArgs, script: Script, known: Known, mut lines: Lines) -> Result<(), Failure> {
    let mut interrupt = Interrupt::install()?;
    let side = if args.pcscf.is_some() { Sender::Ue } else { Sender::Network };
    let name = args.profile.profile.as_deref().unwrap_or("volte");
    let profile = load_profile(name, &args.settings()?)?;
    let (plane, esp_port) = match side {
        Sender::Ue => (profile.ue.ipsec, profile.ue.esp_port),
        Sender::Network => (profile.pcscf.ipsec, profile.pcscf.esp_port),
    };
    if plane != PlaneChoice::None && script.has_agreement() && !matches!(known, Known::Keys(_)) {
        let why = "CK and IK follow from K: give --k and --opc, or --hss-data; or take --ipsec none";
        return Err(Failure::Usage(format!("--ipsec {plane}: {why}")));
    }
    let clock = Clock::start();
    let mut random = network::seed()?;
    let mut sockets = Sockets::over(OpenPlane::open(plane, esp_port, network::seed()?).await?);
    let wanted = match (args.listen, args.source, args.pcscf) {
        (Some(listen), ..) => listen,
        (None, Some(source), _) => source,
        (None, None, Some(pcscf)) => SocketAddr::new(register::source_towards(pcscf)?, 0),
        (None, None, None) => return Err(Failure::Usage("--pcscf or --listen is missing".to_owned())),
    };
    let role = if side == Sender::Ue { Role::Ue } else { Role::Pcscf };
    let local = sockets.bind(&Listener::sip(wanted, role)).map_err(|e| Failure::Bind(e, FlagsOf::Replay))?;
    let config = PlayerConfig {
        side,
        local,
        pcscf: args.pcscf.unwrap_or(local),
        protected_ports: protected_ports(side, &script, &profile, local, &mut random),
        known: known.clone(),
        speed: args.speed,
        patience: Duration::from_secs(u64::from(args.timeout)),
        ignored: args.ignore.clone(),
    };
    let has_agreement = script.has_agreement();
    let mut ims = Ims::new(Wiring::Wire);
    let player = ims.add(Player::new(config, script, random)).map_err(|e| Failure::Usage(e.to_string()))?;
    let record = Record::new(Some(clock));
    if let Some(path) = &args.capture {
        record.write_to(path)?;
    }
    let live =
        Live::start(ims, sockets, clock, Box::new(record.clone())).map_err(|e| Failure::Bind(e, FlagsOf::Replay))?;
    match args.pcscf {
        Some(pcscf) => lines.begins(side, &pcscf.to_string()),
        None => {
            lines.begins(side, &format!("whoever registers at {local}"));
            lines.ready(local);
            if matches!(known, Known::Nothing) {
                lines.note(RECORDED_VECTOR);
            }
        }
    }
    if has_agreement && plane == PlaneChoice::None {
        lines.note(NO_ESP);
    }
    live.command(player, |element, now, out| {
        if let Some(player) = element.as_player_mut() {
            player.begin(now, out);
        }
    });
    course(&live, player, &lines, &mut interrupt).await;
    live.stop(Duration::from_secs(1)).await;
    record.finish()?;
    let report = live.look(|ims| ims.element(player).as_player().map(|player| player.report().clone()));
    lines.end(&report.into_iter().collect::<Vec<_>>())
}

/// Prints what happens until the play is over.
async fn course(live: &Live, player: ElementId, lines: &Lines, interrupt: &mut Interrupt) {
    let mut printed = 0;
    let mut print = |live: &Live| {
        live.look(|ims| {
            let Some(player) = ims.element(player).as_player() else { return true };
            let entries = &player.report().entries;
            lines.entries(&entries[printed..]);
            printed = entries.len();
            player.is_over()
        })
    };
    while !print(live) {
        tokio::select! {
            () = live.changed() => {}
            () = interrupt.wait() => {
                live.command(player, |element, now, _| {
                    if let Some(player) = element.as_player_mut() {
                        player.give_up(now, "interrupted");
                    }
                });
            }
        }
    }
    // Repetitions of what was answered last are absorbed, and what comes unasked is seen.
    let linger = tokio::time::sleep(LINGER);
    tokio::pin!(linger);
    loop {
        tokio::select! {
            () = live.changed() => {}
            () = interrupt.wait() => break,
            () = &mut linger => break,
        }
    }
    print(live);
}

/// A UE draws free ones; a P-CSCF has those of its profile.
fn protected_ports(
    side: Sender,
    script: &Script,
    profile: &Profile,
    local: SocketAddr,
    random: &mut crate::random::Random,
) -> (RangeInclusive<u16>, u16) {
    let sets = script.protected_ports(side).map_or(1, |(count, _)| count.max(1));
    match side {
        Sender::Ue => {
            let (client, server) = register::protected_ports(&profile.ue, local.ip(), random);
            let first = if sets == 1 { client } else { server.saturating_add(1) };
            (first..=first.saturating_add(sets - 1), server)
        }
        Sender::Network => {
            let pool = profile.pcscf.port_c.clone();
            let last = pool.start().saturating_add(sets - 1).min(*pool.end());
            (*pool.start()..=last, profile.pcscf.port_s)
        }
    }
}

const LINGER: Duration = Duration::from_millis(300);
const NO_ESP: &str = "ESP is not carried: after the agreement messages go in clear between the protected ports (--ipsec PLANE carries it)";
const RECORDED_VECTOR: &str = "without K the UE gets the recorded challenge: it cannot verify AUTN unless it has that K, and an SQN that is older";
