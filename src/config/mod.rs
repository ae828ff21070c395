//! YAML to typed configuration. The only part that knows the YAML crate (in `yaml.rs`).
//!
//! ```text
//! load_profile("lab", &settings)      -> Profile       profiles/lab.yaml or the copy in the binary, what it extends,
//!                                                      and Settings (flags, --set) on top
//! load_device("lab", device, ..)        -> Profile       the same with the habits of a device of profiles/ue/ on top
//! load_subscribers(path, &profile)    -> Subscribers   hss-data: a file, or all *.yaml of a directory; .store for Hss
//! profile.pcscf(elements)             -> PcscfConfig   icscf(elements, epoch), scscf(elements, epoch), hss(epoch)
//! subscribers.subscription(imsi)      -> Subscription  what a simulated UE needs; also from flags: UeFlags::subscription
//! profile.ue(&subscription, ..)       -> UeConfig
//! load_scenario(path)         -> Scenario      what happens in a simulated world
//! load_mutations(path)        -> MutationCases what goes wrong in it on purpose
//! load_cases(path)            -> CheckCases    the same with what an accused must do then; embedded_cases(accused)
//! read_usim_file, write_usim_file                      the SQNs of a USIM between two runs
//! ```
//!
//! Everything returns [`Faults`], all of them: its `Display` is one line a fault, `file:line:column: key.path: value
//! found, what was expected`, and [`Faults::draw`] shows each with its line. The caller exits with status 2. No message
//! holds key material.
//!
//! Derived, unless the profile says otherwise: host names and Diameter identities from the realm; the next hop, the HSS
//! and the S-CSCF from the listeners of this process ([`Elements`]), or else from `hosts`. A driver that opens port 0
//! writes the port it got into [`Profile`] (`profile.scscf.listen[0].set_port(..)`) before it asks for the elements.

mod case;
mod duplicates;
mod elements;
mod fault;
mod keys;
mod layers;
mod mask;
mod mutation;
mod profile;
mod read;
mod scenario;
mod source;
mod subscribers;
#[cfg(test)]
mod testing;
mod tls;
mod ue;
mod usim_file;
mod value;
mod yaml;

pub use case::{CheckCase, embedded_cases, load_cases};
pub use elements::Elements;
pub use fault::{Fault, Faults};
pub use mask::mask_value;
pub use mutation::{MutationCase, load_mutations};
pub use profile::{
    ApplicationServerSection, DiameterIdentity, DiameterSection, HostPort, HssSection, IcscfSection, PcscfSection,
    Peer, PlaneChoice, Profile, ScscfSection, SecurityMechanism, Setting, UeSection, load_device, load_profile,
};
pub use scenario::{Action, ByNetwork, NatSetting, NetworkFault, Scenario, Step, load_scenario};
pub use source::{Origin, embedded_devices, embedded_profiles, hss_data_of};
pub(crate) use subscribers::counted_up;
pub use subscribers::{Subscribers, load_subscribers};
pub(crate) use tls::certificates;
pub use tls::{TlsIdentity, TlsSection};
pub use ue::{Subscription, UeFlags};
pub use usim_file::{read_usim_file, write_usim_file};
