//! From a profile to elements with their sockets.

use super::Failure;
use super::args::FlagsOf;
use super::tls;
use crate::application_server::ApplicationServer;
use crate::config::{Elements, Profile, Subscribers};
use crate::event::Role;
use crate::hss::Hss;
use crate::icscf::Icscf;
use crate::ims::{Ims, Listener};
use crate::live::plane::OpenPlane;
use crate::live::{Clock, Sockets, StateDir};
use crate::packet::Protocol;
use crate::pcscf::Pcscf;
use crate::random::Random;
use crate::scscf::Scscf;
use std::net::SocketAddr;

/// Elements, wired, and the sockets that had to be opened first because their port was 0.
pub(super) struct Network {
    pub(super) ims: Ims,
    pub(super) sockets: Sockets,
    pub(super) random: Random,
}

/// Builds the elements of this process. Port 0 becomes the port that the system gives, in `profile` too.
pub(super) fn build(
    profile: &mut Profile,
    elements: Elements,
    subscribers: Option<Subscribers>,
    state: Option<&StateDir>,
    clock: Clock,
    flags: FlagsOf,
    plane: OpenPlane,
) -> Result<Network, Failure> {
    let mut sockets = Sockets::over(plane);
    open_port_zero(profile, elements, &mut sockets, flags)?;
    if elements.pcscf
        && let Some(section) = &profile.pcscf.tls
    {
        sockets.speak(tls::of_pcscf(profile, section)?);
    }
    let mut random = seed()?;
    let mut ims = Ims::new(profile.wiring);
    let taken = |e: crate::ims::AddressTaken| Failure::Usage(e.to_string());
    if let Some(subscribers) = subscribers.filter(|_| elements.hss) {
        let mut hss = Hss::new(profile.hss(clock.epoch())?, subscribers.store, random.fork());
        if let Some(state) = state {
            restore(&mut hss, state)?;
        }
        ims.add(hss).map_err(taken)?;
    }
    if elements.application_server {
        ims.add(ApplicationServer::new(profile.application_server(elements), random.fork())).map_err(taken)?;
    }
    if elements.scscf {
        ims.add(Scscf::new(profile.scscf(elements, clock.epoch())?, random.fork())).map_err(taken)?;
    }
    if elements.icscf {
        ims.add(Icscf::new(profile.icscf(elements, clock.epoch())?, random.fork())).map_err(taken)?;
    }
    if elements.pcscf {
        ims.add(Pcscf::new(profile.pcscf(elements)?, random.fork())).map_err(taken)?;
    }
    Ok(Network { ims, sockets, random })
}

/// Lets the HSS go on where its last run ended.
fn restore(hss: &mut Hss, state: &StateDir) -> Result<(), Failure> {
    let recovered = state.restore(hss).map_err(|fault| Failure::Usage(fault.to_string()))?;
    if recovered.unknown > 0 {
        let (path, unknown) = (state.path().display(), recovered.unknown);
        eprintln!("imsreg: state directory {path}: {unknown} of its records are of unknown subscribers; they are kept");
    }
    Ok(())
}

/// The generator of a live run.
pub(super) fn seed() -> Result<Random, Failure> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|e| Failure::Usage(format!("the system gives no random numbers: {e}")))?;
    Ok(Random::from_seed(seed))
}

fn open_port_zero(
    profile: &mut Profile,
    elements: Elements,
    sockets: &mut Sockets,
    flags: FlagsOf,
) -> Result<(), Failure> {
    let mut open = |address: &mut SocketAddr, listener: Listener| -> Result<(), Failure> {
        if address.port() == 0 {
            *address = sockets.bind(&listener).map_err(|e| Failure::Bind(e, flags))?;
        }
        Ok(())
    };
    let transports = &profile.diameter.transports;
    let diameter = [
        (elements.hss, Some(&mut profile.hss.listen), Role::Hss),
        (elements.scscf, profile.scscf.diameter_listen.as_mut(), Role::Scscf),
        (elements.icscf, profile.icscf.diameter_listen.as_mut(), Role::Icscf),
    ];
    for (here, address, role) in diameter {
        if let Some(address) = address.filter(|_| here) {
            open(address, Listener::diameter(*address, role, transports))?;
        }
    }
    let sip = [
        (elements.scscf, &mut profile.scscf.listen, Role::Scscf),
        (elements.application_server, &mut profile.application_server.listen, Role::ApplicationServer),
        (elements.icscf, &mut profile.icscf.listen, Role::Icscf),
        (elements.pcscf, &mut profile.pcscf.listen, Role::Pcscf),
    ];
    for (_, addresses, role) in sip.into_iter().filter(|(here, ..)| *here) {
        for address in addresses {
            open(address, Listener::sip(*address, role))?;
        }
    }
    if let Some(tls) = profile.pcscf.tls.as_mut().filter(|_| elements.pcscf) {
        let listener = Listener::tls(tls.listen, Role::Pcscf);
        open(&mut tls.listen, listener)?;
    }
    Ok(())
}

/// The key of the profile that says where a listener is.
pub(super) const fn key_of(listener: &Listener) -> &'static str {
    if matches!(listener.protocol, Protocol::Diameter) {
        return match listener.role {
            Role::Icscf => "icscf.diameter_listen",
            Role::Scscf => "scscf.diameter_listen",
            _ => "hss.listen",
        };
    }
    match (listener.role, listener.protected, listener.tcp) {
        (Role::Pcscf, true, true) => "pcscf.port_s",
        (Role::Pcscf, true, false) => "pcscf.port_c",
        (Role::Pcscf, false, _) if listener.tls => "pcscf.tls.listen",
        (Role::Pcscf, false, _) => "pcscf.listen",
        (Role::Icscf, ..) => "icscf.listen",
        (Role::Scscf, ..) => "scscf.listen",
        (Role::Hss, ..) => "hss.listen",
        (Role::ApplicationServer, ..) => "as.listen",
        (Role::Ue, ..) => "ue.address",
    }
}
