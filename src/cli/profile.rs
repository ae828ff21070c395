//! `imsreg profile`: from a trace to a profile.

use super::args::DeriveArgs;
use super::out::Out;
use super::{Failure, trace};
use crate::derive::{self, Nothing, Parts};
use crate::trace::story::Registration;
use serde_json::json;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

/// What one registration gives.
struct Derived {
    registration: u64,
    profile: String,
    subscribers: Option<String>,
}

pub(super) fn run(args: &DeriveArgs) -> Result<(), Failure> {
    let name = args.trace.trace.display().to_string();
    // The file is known by its name; where it lies is nobody's business.
    let source = args.trace.trace.file_name().map_or_else(|| name.clone(), |name| name.to_string_lossy().into_owned());
    let parts = Parts { network: !args.device, device: !args.network };
    let mut source_trace = trace::open(&args.trace)?;
    let (mut derived, mut nothing) = (None, None);
    let (_, fault) = trace::each_group(&mut source_trace, |group| {
        let registration = Registration::of(group);
        let Some(number) = registration.id().filter(|id| args.registration.is_none_or(|wanted| wanted == *id)) else {
            return ControlFlow::Continue(());
        };
        match derive::profile(&registration, parts, &source) {
            Ok(profile) => {
                let subscribers = derive::subscribers(&registration, &source).ok();
                derived = Some(Derived { registration: number, profile, subscribers });
                ControlFlow::Break(())
            }
            Err(why) => {
                nothing.get_or_insert((number, why));
                ControlFlow::Continue(())
            }
        }
    });
    let Some(derived) = derived else { return Err(Failure::Usage(nothing_in(&name, args, nothing, fault))) };
    write(args, &derived)
}

fn nothing_in(
    name: &str,
    args: &DeriveArgs,
    nothing: Option<(u64, Nothing)>,
    fault: Option<crate::trace::Fault>,
) -> String {
    match (nothing, args.registration, fault) {
        (_, _, Some(fault)) => format!("{name}: {fault}"),
        (Some((number, why)), ..) => format!("{name}: registration {number}: {why}"),
        (None, Some(wanted), None) => format!("{name}: there is no registration {wanted}"),
        (None, None, None) => format!("no registration in {name}"),
    }
}

fn write(args: &DeriveArgs, derived: &Derived) -> Result<(), Failure> {
    if let Some(path) = &args.hss_data_out {
        let text = derived.subscribers.as_deref().unwrap_or_default();
        to_file(path, text)?;
    }
    if let Some(path) = &args.output {
        to_file(path, &derived.profile)?;
    }
    let mut out = Out::new();
    if args.common.json {
        let Derived { registration, profile, subscribers } = derived;
        let value = json!({"registration": registration, "profile": profile, "hss_data": subscribers});
        out.line(&value.to_string());
    } else if args.output.is_none() {
        out.text(&derived.profile);
    }
    Ok(())
}

fn to_file(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))
}
