//! `pcscf.tls`: the listener, its certificate and its private key, which is shown nowhere.

use super::fault::Collector;
use super::read::{Fields, Leaf, Path};
use super::value::{LISTENER, TEXT};
use super::yaml::Node;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, InconsistentKeys};
use zeroize::Zeroizing;

/// `pcscf.tls`
#[derive(Clone, Debug)]
pub struct TlsSection {
    /// `listen`
    pub listen: SocketAddr,
    /// `certificate` and `key`; else one is made at start, signed by itself.
    pub identity: Option<TlsIdentity>,
}

/// A certificate, those that lead to its authority, and its private key.
#[derive(Clone)]
pub struct TlsIdentity(pub(crate) Arc<CertifiedKey>);

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsIdentity(..)")
    }
}

/// Why certificate and key make no identity: which of the two, and what is wrong with it.
struct Unusable {
    of_key: bool,
    why: String,
}

impl TlsSection {
    pub(super) fn read(mut f: Fields<'_>, faults: &mut Collector) -> Option<Self> {
        let listen = f.leaf("listen", LISTENER, faults);
        if listen.is_none() && f.get("listen").is_none() {
            f.missing("listen", LISTENER.expected, faults);
        }
        let certificate = file(&mut f, "certificate", faults);
        let key = file(&mut f, "key", faults);
        let mut identity = None;
        match (certificate, key) {
            (Some((at_chain, chain)), Some((at_key, key))) => match TlsIdentity::new(&chain, &key) {
                Ok(read) => identity = Some(read),
                Err(Unusable { of_key: true, why }) => faults.at(at_key, Path::Key(&f.path, "key"), why),
                Err(Unusable { why, .. }) => faults.at(at_chain, Path::Key(&f.path, "certificate"), why),
            },
            (Some(_), None) if f.get("key").is_none() => f.missing("key", PEM_KEY, faults),
            (None, Some(_)) if f.get("certificate").is_none() => f.missing("certificate", PEM_CERTIFICATE, faults),
            _ => {}
        }
        f.finish(faults);
        Some(Self { listen: listen?, identity })
    }
}

impl TlsIdentity {
    /// What it shows to others.
    pub(crate) fn certificates(&self) -> Vec<CertificateDer<'static>> {
        self.0.cert.clone()
    }

    fn new(chain: &[u8], key: &[u8]) -> Result<Self, Unusable> {
        let chain = certificates(chain).map_err(|why| Unusable { of_key: false, why })?;
        let of_key = |why| Unusable { of_key: true, why };
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| of_key(format!("{}, {PEM_KEY} expected", in_words(&error))))?;
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider());
        certified.map(|certified| Self(Arc::new(certified))).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                of_key("it is not the key of the certificate".to_owned())
            }
            rustls::Error::InvalidCertificate(_) => {
                Unusable { of_key: false, why: "the first certificate of the file cannot be used".to_owned() }
            }
            // What a key is like is nobody's business.
            _ => of_key("a private key of a kind that TLS cannot use".to_owned()),
        })
    }
}

/// The certificates of a PEM file, one at least.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(format!("no certificate in the file, {PEM_CERTIFICATE} expected")),
        Ok(chain) => Ok(chain),
        Err(error) => Err(format!("{}, {PEM_CERTIFICATE} expected", in_words(&error))),
    }
}

/// The error of a PEM file; its own words may hold a line of it.
const fn in_words(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::NoItemsFound => "no private key in the file",
        pem::Error::MissingSectionEnd { .. } => "a section of the file has no end",
        pem::Error::Base64Decode(_) => "a section of the file is not base64",
        _ => "the file is no PEM file",
    }
}

/// A file that a key names, and what it holds.
fn file<'n>(f: &mut Fields<'n>, key: &'static str, faults: &mut Collector) -> Option<(&'n Node, Zeroizing<Vec<u8>>)> {
    let (node, path) = f.leaf_at(key, FILE, faults)?;
    match std::fs::read(&*path) {
        Ok(octets) => Some((node, Zeroizing::new(octets))),
        Err(error) => {
            faults.at(node, Path::Key(&f.path, key), format!("file \"{path}\" cannot be read: {error}"));
            None
        }
    }
}

const FILE: Leaf<Box<str>> =
    Leaf { read: |t| (TEXT.read)(t).filter(|path| !path.is_empty()), expected: "the name of a PEM file" };
const PEM_CERTIFICATE: &str = "a PEM file with the certificate and those that lead to its authority";
const PEM_KEY: &str = "a PEM file with the private key";
