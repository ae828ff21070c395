//! What holds for every sequence of octets taken as registration information. The fuzz target and `tests/reginfo.rs` call
//! it.

use imsreg::reginfo::{Reginfo, Watcher};

/// Reading and judging end without a panic, and what was read is written so that it can be read again without a new fault.
pub(crate) fn reginfo(bytes: &[u8]) {
    let mut watcher = Watcher::new();
    let first = watcher.take(bytes, &["sip:joe@example.com"]);
    let again = watcher.take(bytes, &["sip:joe@example.com"]);
    assert!(first.document.is_none() || again.document.is_none(), "one version counts once");
    let Some(document) = Reginfo::read(bytes, &mut Vec::new()) else { return };
    let mut written = Vec::new();
    document.write(&mut written);
    if written.len() > 65_536 {
        return;
    }
    let second = Reginfo::read(&written, &mut Vec::new()).expect("what we write can be read");
    let shape = |d: &Reginfo<'_>| d.registrations.iter().map(|r| (r.state, r.contacts.len())).collect::<Vec<_>>();
    assert_eq!((second.version, second.state, shape(&second)), (document.version, document.state, shape(&document)));
}
