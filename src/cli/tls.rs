//! What TLS is spoken with: from the profile of a P-CSCF, from the flags of a UE.

use super::Failure;
use super::args::RegisterArgs;
use crate::config::{Profile, TlsSection, certificates};
use crate::live::{Tls, TlsFault, Trust};

/// The server's side, and clients of the same process that believe it.
pub(super) fn of_pcscf(profile: &Profile, section: &TlsSection) -> Result<Tls, Failure> {
    let unusable = |fault: TlsFault| Failure::Usage(format!("pcscf.tls: {fault}"));
    let mut tls = Tls::default();
    let host = profile.pcscf_host().into_string();
    let own = match &section.identity {
        Some(identity) => {
            tls.serve(identity).map_err(unusable)?;
            identity.certificates()
        }
        None => {
            let names = vec![host, section.listen.ip().to_string(), "localhost".to_owned()];
            vec![tls.serve_self_signed(names).map_err(unusable)?]
        }
    };
    tls.connect(Trust::Authorities(own), None).map_err(unusable)?;
    Ok(tls)
}

/// The client's side.
pub(super) fn of_ue(args: &RegisterArgs) -> Result<Tls, Failure> {
    let trust = match &args.tls_trust {
        Some(path) => {
            let fault = |why| Failure::Usage(format!("--tls-trust {}: {why}", path.display()));
            let pem = std::fs::read(path).map_err(|e| fault(e.to_string()))?;
            Trust::Authorities(certificates(&pem).map_err(fault)?)
        }
        None if args.tls_insecure => Trust::Anybody,
        None => {
            let wanted = "--tls-trust FILE.pem with the certificate of its authority, or --tls-insecure in a lab";
            return Err(Failure::Usage(format!("--transport tls: who is the P-CSCF to be believed by? {wanted}")));
        }
    };
    let mut tls = Tls::default();
    let unusable = |fault: TlsFault| Failure::Usage(format!("--transport tls: {fault}"));
    tls.connect(trust, args.tls_name.as_deref()).map_err(unusable)?;
    Ok(tls)
}
