//! `imsreg serve`: any subset of the elements.

use super::args::{FlagsOf, ServeArgs};
use super::record::Record;
use super::{Failure, Interrupt, control, mutation, network, report};
use crate::config::{PlaneChoice, load_profile, load_subscribers};
use crate::ims::{Fault, Whom};
use crate::ladder::{Columns, Options};
use crate::live::plane::OpenPlane;
use crate::live::{Clock, Live, StateDir, descriptors};
use crate::time::Duration;
use std::rc::Rc;

pub(super) async fn run(args: ServeArgs) -> Result<(), Failure> {
    let mut interrupt = Interrupt::install()?;
    let elements = args.elements();
    let fault = args.mutate.as_deref().map(mutation::load).transpose()?;
    let mut settings = args.settings()?;
    settings.extend(fault.iter().flat_map(|fault| &fault.settings).cloned());
    let mut profile = load_profile(args.profile.name(), &settings)?;
    let subscribers = if elements.hss { Some(load_subscribers(&args.hss_data(), &profile)?) } else { None };
    let origins = subscribers.as_ref().map(|s| format!(", subscribers {}", report::list(&s.origins)));
    let started_with = format!("profile {}{}", report::list(&profile.origins), origins.unwrap_or_default());

    descriptors::raise_limit();
    let clock = Clock::start();
    let state = args.state.as_deref().map(StateDir::open).transpose();
    let state = state.map_err(|fault| Failure::Usage(fault.to_string()))?;
    let plane = if elements.pcscf { profile.pcscf.ipsec } else { PlaneChoice::None };
    if let Some(fault) = &fault {
        mutation::possible(fault, plane, &elements.roles())?;
    }
    let plane = OpenPlane::open(plane, profile.pcscf.esp_port, network::seed()?).await?;
    let network = network::build(&mut profile, elements, subscribers, state.as_ref(), clock, FlagsOf::Serve, plane)?;
    let listeners = network.ims.listeners();
    let record = Record::new(Some(clock));
    if args.common.json {
        let columns = Columns::from_listeners(listeners.iter().map(|l| (l.address, l.role)));
        record.print_lines(Options { columns, show_keys: args.show_keys, ..Options::default() });
    } else {
        println!("{started_with}");
    }
    if let Some(path) = &args.capture {
        record.write_to(path)?;
        report::warn_of_keys();
    }
    let socket = control::bind(args.control.as_deref())?;
    let live = Live::start_with_state(network.ims, network.sockets, clock, Box::new(record.clone()), state)
        .map_err(|e| Failure::Bind(e, FlagsOf::Serve))?;
    live.mutate(fault.map(|fault| {
        let whom = Whom::Outside(args.mutate_ue.map(Into::into));
        Fault { whom, mutation: fault.mutation, names: vec![("realm".into(), profile.realm.clone())] }
    }));
    let live = Rc::new(live);
    if args.common.json {
        report::ready_json(&listeners, &profile.realm, Some(socket.path()));
    } else {
        println!("{}", report::ready_line(&listeners, &profile.realm, Some(socket.path())));
    }
    let answer = control::answers(profile);
    let lost = tokio::select! {
        () = interrupt.wait() => None,
        () = socket.serve(&live, &answer) => None,
        lost = live.state_lost() => Some(lost),
    };
    live.stop(Duration::from_secs(2)).await;
    if args.common.json {
        report::report_json(lost.as_deref());
    }
    record.finish()?;
    lost.map_or(Ok(()), |lost| Err(Failure::Failed(lost)))
}
