//! The closed set of elements, behind one face.

use super::Listener;
use crate::application_server::ApplicationServer;
use crate::diameter::peer::NodeConfig;
use crate::event::Role;
use crate::hss::Hss;
use crate::icscf::Icscf;
use crate::ipsec::association::SaSetId;
use crate::packet::{Connection, Outbox, Packet, SaFailure};
use crate::pcscf::Pcscf;
use crate::replay::Player;
use crate::replay::comparison::Sender;
use crate::scscf::Scscf;
use crate::time::Instant;
use crate::ue::Ue;
use std::net::{IpAddr, SocketAddr};

macro_rules! elements {
    ($($variant:ident),*) => {
        /// An element of any kind.
        #[derive(Debug)]
        #[expect(missing_docs, reason = "the names say it")]
        pub enum Element {
            $($variant(Box<$variant>),)*
        }

        $(impl From<$variant> for Element {
            fn from(element: $variant) -> Self {
                Self::$variant(Box::new(element))
            }
        })*

        impl Element {
            /// Takes a packet.
            pub fn receive(&mut self, now: Instant, packet: &Packet<'_>, out: &mut Outbox) {
                match self {
                    $(Self::$variant(e) => e.receive(now, packet, out),)*
                }
            }

            /// News of a connection.
            pub fn connection(&mut self, now: Instant, connection: &Connection, out: &mut Outbox) {
                match self {
                    $(Self::$variant(e) => e.connection(now, connection, out),)*
                }
            }

            /// The earliest timer.
            pub fn next_timeout(&self) -> Option<Instant> {
                match self {
                    $(Self::$variant(e) => e.next_timeout(),)*
                }
            }

            /// Runs what is due.
            pub fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
                match self {
                    $(Self::$variant(e) => e.handle_timeout(now, out),)*
                }
            }
        }
    };
}

elements!(Pcscf, Icscf, Scscf, Hss, Ue, ApplicationServer, Player);

impl Element {
    /// What it is.
    pub const fn role(&self) -> Role {
        match self {
            Self::Pcscf(_) => Role::Pcscf,
            Self::Icscf(_) => Role::Icscf,
            Self::Scscf(_) => Role::Scscf,
            Self::Hss(_) => Role::Hss,
            Self::Ue(_) => Role::Ue,
            Self::ApplicationServer(_) => Role::ApplicationServer,
            Self::Player(player) => match player.config().side {
                Sender::Ue => Role::Ue,
                Sender::Network => Role::Pcscf,
            },
        }
    }

    /// The player of a recording, if it is one.
    pub fn as_player(&self) -> Option<&Player> {
        match self {
            Self::Player(player) => Some(player),
            _ => None,
        }
    }

    /// The player of a recording, if it is one.
    pub fn as_player_mut(&mut self) -> Option<&mut Player> {
        match self {
            Self::Player(player) => Some(player),
            _ => None,
        }
    }

    /// The P-CSCF, if it is one.
    pub fn as_pcscf(&self) -> Option<&Pcscf> {
        match self {
            Self::Pcscf(pcscf) => Some(pcscf),
            _ => None,
        }
    }

    /// The S-CSCF, if it is one.
    pub fn as_scscf(&self) -> Option<&Scscf> {
        match self {
            Self::Scscf(scscf) => Some(scscf),
            _ => None,
        }
    }

    /// The HSS, if it is one.
    pub fn as_hss(&self) -> Option<&Hss> {
        match self {
            Self::Hss(hss) => Some(hss),
            _ => None,
        }
    }

    /// The HSS, if it is one.
    pub fn as_hss_mut(&mut self) -> Option<&mut Hss> {
        match self {
            Self::Hss(hss) => Some(hss),
            _ => None,
        }
    }

    /// The UE, if it is one.
    pub fn as_ue(&self) -> Option<&Ue> {
        match self {
            Self::Ue(ue) => Some(ue),
            _ => None,
        }
    }

    /// The UE, if it is one.
    pub fn as_ue_mut(&mut self) -> Option<&mut Ue> {
        match self {
            Self::Ue(ue) => Some(ue),
            _ => None,
        }
    }

    /// Opens Diameter connections.
    pub fn start(&mut self, now: Instant, out: &mut Outbox) {
        match self {
            Self::Icscf(e) => e.start(now, out),
            Self::Scscf(e) => e.start(now, out),
            Self::Hss(e) => e.start(now, out),
            Self::Pcscf(_) | Self::Ue(_) | Self::ApplicationServer(_) | Self::Player(_) => {}
        }
    }

    /// Ends Diameter connections.
    pub fn stop(&mut self, now: Instant, out: &mut Outbox) {
        match self {
            Self::Icscf(e) => e.stop(now, out),
            Self::Scscf(e) => e.stop(now, out),
            Self::Hss(e) => e.stop(now, out),
            Self::Pcscf(_) | Self::Ue(_) | Self::ApplicationServer(_) | Self::Player(_) => {}
        }
    }

    /// A set is installed.
    pub fn sa_installed(&mut self, now: Instant, set: SaSetId, out: &mut Outbox) {
        match self {
            Self::Pcscf(e) => e.sa_installed(now, set, out),
            Self::Ue(e) => e.sa_installed(now, set, out),
            Self::Player(e) => e.sa_installed(now, set, out),
            Self::Icscf(_) | Self::Scscf(_) | Self::Hss(_) | Self::ApplicationServer(_) => {}
        }
    }

    /// A set could not be installed.
    pub fn sa_failed(&mut self, now: Instant, failure: &SaFailure, out: &mut Outbox) {
        match self {
            Self::Pcscf(e) => e.sa_failed(now, failure, out),
            Self::Ue(e) => e.sa_failed(now, failure, out),
            Self::Player(e) => e.sa_failed(now, failure, out),
            Self::Icscf(_) | Self::Scscf(_) | Self::Hss(_) | Self::ApplicationServer(_) => {}
        }
    }

    /// Where it listens.
    pub fn listeners(&self) -> Vec<Listener> {
        let role = self.role();
        let sip = move |address: SocketAddr| Listener::sip(address, role);
        let diameter =
            |config: &NodeConfig| config.listen.map(|address| Listener::diameter(address, role, &config.transports));
        match self {
            Self::Pcscf(e) => {
                let config = e.config();
                let mut all: Vec<Listener> = config.listen.iter().copied().map(sip).collect();
                all.extend((!config.listen.contains(&config.core)).then(|| sip(config.core)));
                all.extend(config.tls.map(|tls| Listener::tls(tls.listen, role)));
                let mut addresses: Vec<IpAddr> = config.listen.iter().map(SocketAddr::ip).collect();
                addresses.sort_unstable();
                addresses.dedup();
                for address in addresses {
                    let at = |port| SocketAddr::new(address, port);
                    all.push(Listener { protected: true, ..sip(at(config.port_s)) });
                    let pool = config.port_c.clone();
                    all.extend(pool.map(|port| Listener { protected: true, tcp: false, ..sip(at(port)) }));
                }
                all
            }
            Self::Icscf(e) => {
                e.config().listen.iter().copied().map(sip).chain(diameter(&e.config().diameter)).collect()
            }
            Self::Scscf(e) => {
                e.config().listen.iter().copied().map(sip).chain(diameter(&e.config().diameter)).collect()
            }
            Self::Hss(e) => diameter(&e.config().diameter).into_iter().collect(),
            Self::Ue(e) => vec![sip(e.config().local)],
            Self::ApplicationServer(e) => e.config().listen.iter().copied().map(sip).collect(),
            Self::Player(e) => {
                let config = e.config();
                let (clients, server) = config.protected_ports.clone();
                let at = |port| SocketAddr::new(config.local.ip(), port);
                let mut all = vec![sip(config.local)];
                // Those of a UE come and go with its sets.
                if role == Role::Pcscf && e.has_agreement() {
                    all.push(Listener { protected: true, ..sip(at(server)) });
                    all.extend(clients.map(|port| Listener { protected: true, tcp: false, ..sip(at(port)) }));
                }
                all
            }
        }
    }
}
