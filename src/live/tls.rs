//! TLS under SIP (RFC 3261 clause 26.2): what proves who we are, what others are believed by, and handshakes.
//!
//! Keys are secrets: they are in the hands of the TLS library alone, and nothing here shows them.

use super::shard::Shared;
use super::stream::{self, Line};
use crate::config::TlsIdentity;
use crate::packet::{Connection, ConnectionState, Protocol, Transport};
use crate::time::Duration;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{self, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// What this process speaks TLS with.
#[derive(Clone, Default)]
pub struct Tls {
    acceptor: Option<TlsAcceptor>,
    connector: Option<TlsConnector>,
    /// The name that a server must prove; else its address.
    server_name: Option<ServerName<'static>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (serves, connects) = (self.acceptor.is_some(), self.connector.is_some());
        f.debug_struct("Tls").field("serves", &serves).field("connects", &connects).finish_non_exhaustive()
    }
}

/// Whom a client believes.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Who has a certificate of one of these, or one of these itself.
    Authorities(Vec<CertificateDer<'static>>),
    /// Anybody, as in a lab whose servers sign for themselves.
    Anybody,
}

/// Why there is no TLS.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct TlsFault(String);

impl Tls {
    /// Servers of this process have this identity.
    pub fn serve(&mut self, identity: &TlsIdentity) -> Result<(), TlsFault> {
        self.serve_as(Arc::clone(&identity.0))
    }

    /// Servers of this process have a new identity that nobody but themselves has signed. Returns its certificate.
    pub fn serve_self_signed(&mut self, names: Vec<String>) -> Result<CertificateDer<'static>, TlsFault> {
        let made = rcgen::generate_simple_self_signed(names);
        let rcgen::CertifiedKey { cert, signing_key } = made.map_err(|e| TlsFault(e.to_string()))?;
        let certificate = cert.der().clone();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let certified = CertifiedKey::from_der(vec![certificate.clone()], key, &ring::default_provider());
        self.serve_as(Arc::new(certified.map_err(|e| fault(&e))?))?;
        Ok(certificate)
    }

    fn serve_as(&mut self, key: Arc<CertifiedKey>) -> Result<(), TlsFault> {
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|e| fault(&e))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        self.acceptor = Some(TlsAcceptor::from(Arc::new(config)));
        Ok(())
    }

    /// Clients of this process believe by `trust`, and ask servers to prove `name` instead of their address.
    pub fn connect(&mut self, trust: Trust, name: Option<&str>) -> Result<(), TlsFault> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|e| fault(&e))?;
        let config = match trust {
            Trust::Authorities(certificates) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates {
                    roots.add(certificate).map_err(|e| fault(&e))?;
                }
                builder.with_root_certificates(roots)
            }
            Trust::Anybody => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(BelieveAnybody(provider())))
            }
        };
        self.connector = Some(TlsConnector::from(Arc::new(config.with_no_client_auth())));
        self.server_name = match name.map(|name| ServerName::try_from(name.to_owned())).transpose() {
            Ok(name) => name,
            Err(_) => return Err(TlsFault(format!("{:?} is no host name", name.unwrap_or_default()))),
        };
        Ok(())
    }
}

/// The client's half of a handshake.
pub(super) async fn handshake(stream: TcpStream, to: SocketAddr, shared: &Shared) -> io::Result<Line> {
    let Tls { connector, server_name, .. } = shared.borrow().tls.clone();
    let Some(connector) = connector else {
        return Err(io::Error::other("nobody is trusted for TLS: there is neither a list of authorities nor leave"));
    };
    let name = server_name.unwrap_or_else(|| ServerName::from(to.ip()));
    let stream = tokio::time::timeout(HANDSHAKE_PATIENCE, connector.connect(name, stream)).await??;
    Ok(Line::Tls(Box::new(TlsStream::Client(stream))))
}

/// Accepts sessions for as long as the listener lives.
pub(super) async fn accept(listener: TcpListener, shared: Shared) {
    loop {
        let Ok((stream, remote)) = listener.accept().await else {
            // Out of descriptors: others may end meanwhile.
            tokio::time::sleep(super::ACCEPT_AGAIN).await;
            continue;
        };
        tokio::task::spawn_local(welcome(stream, remote, Rc::clone(&shared)));
    }
}

/// The server's half of a handshake, and the session.
async fn welcome(stream: TcpStream, remote: SocketAddr, shared: Shared) {
    let acceptor = shared.borrow().tls.acceptor.clone();
    let (Some(acceptor), Ok(local)) = (acceptor, stream.local_addr()) else { return };
    let accepted = tokio::time::timeout(HANDSHAKE_PATIENCE, acceptor.accept(stream)).await;
    let stream = match accepted.map_err(io::Error::from).flatten() {
        Ok(stream) => Line::Tls(Box::new(TlsStream::Server(stream))),
        Err(error) => {
            tracing::debug!(from = %remote, to = %local, %error, "no TLS session");
            return;
        }
    };
    let (transport, protocol) = (Transport::Tls, Protocol::Sip);
    let connection = Connection { local, remote, transport, protocol, inbound: true, state: ConnectionState::Opened };
    stream::run(stream, None, connection, Vec::new(), shared).await;
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn fault(error: &rustls::Error) -> TlsFault {
    TlsFault(error.to_string())
}

/// Believes every certificate. That the other side has the key of it is checked all the same.
#[derive(Debug)]
struct BelieveAnybody(Arc<CryptoProvider>);

impl ServerCertVerifier for BelieveAnybody {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Longer than a round trip takes anywhere; whoever says nothing must not hold a socket for ever.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
