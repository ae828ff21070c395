//! What the HSS keeps over a restart: records in a directory (`serve --state DIR`).

pub(super) mod journal;

use crate::hss::{Hss, RecordFault, Restored};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::path::{Path, PathBuf};

/// A directory of records, open for this process alone.
#[derive(Clone)]
pub struct StateDir {
    path: PathBuf,
    database: Database,
    records: Keyspace,
}

/// What a directory gave back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Recovered {
    /// Subscriptions that go on.
    pub taken: usize,
    /// Records of nobody who is provisioned: they stay where they are.
    pub unknown: usize,
}

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateFault {
    /// Two HSSs would give out the same SQNs.
    #[error("state directory {}: another process has it open", .0.display())]
    InUse(PathBuf),
    /// The directory, or what is in it.
    #[error("state directory {}: {source}", .path.display())]
    Storage {
        /// Which.
        path: PathBuf,
        /// What the storage says.
        source: Box<fjall::Error>,
    },
    /// A record that this program cannot have written, or not this version of it.
    #[error("state directory {}, record of {key}: {fault}", .path.display())]
    Record {
        /// Which.
        path: PathBuf,
        /// The IMPI.
        key: String,
        /// What is wrong.
        fault: RecordFault,
    },
}

impl StateDir {
    /// Opens the directory, makes it where there is none.
    pub fn open(path: &Path) -> Result<Self, StateFault> {
        let open = || {
            let database = Database::builder(path).worker_threads(1).open()?;
            let records = database.keyspace(KEYSPACE, KeyspaceCreateOptions::default)?;
            Ok(Self { path: path.to_owned(), database, records })
        };
        open().map_err(|error| match error {
            fjall::Error::Locked => StateFault::InUse(path.to_owned()),
            source => StateFault::Storage { path: path.to_owned(), source: Box::new(source) },
        })
    }

    /// Hands every record to `hss`, which from now on records what it changes.
    pub fn restore(&self, hss: &mut Hss) -> Result<Recovered, StateFault> {
        let mut recovered = Recovered::default();
        for record in self.records.iter() {
            let (key, value) = record.into_inner().map_err(|source| self.storage_fault(source))?;
            match hss.restore(&key, &value) {
                Ok(Restored::Taken) => recovered.taken += 1,
                Ok(Restored::UnknownSubscriber) => recovered.unknown += 1,
                Err(fault) => {
                    let key = String::from_utf8_lossy(&key).into_owned();
                    return Err(StateFault::Record { path: self.path.clone(), key, fault });
                }
            }
        }
        hss.record_changes();
        Ok(recovered)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes records so that they outlive this process and a power failure. All of them or none.
    fn commit(&self, records: journal::Records) -> Result<(), StateFault> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for (key, value) in records {
            batch.insert(&self.records, key.into_vec(), value.into_vec());
        }
        batch.commit().map_err(|source| self.storage_fault(source))
    }

    fn storage_fault(&self, source: fjall::Error) -> StateFault {
        StateFault::Storage { path: self.path.clone(), source: Box::new(source) }
    }
}

impl std::fmt::Debug for StateDir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateDir").field("path", &self.path).finish_non_exhaustive()
    }
}

const KEYSPACE: &str = "hss";

#[cfg(test)]
mod tests {
    use super::*;

    /// Gone at the end of the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(test: &str) -> Self {
            Self(std::env::temp_dir().join(format!("imsreg-{test}-{}", std::process::id())))
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn records(pairs: &[(&str, &[u8])]) -> journal::Records {
        pairs.iter().map(|(key, value)| (key.as_bytes().into(), (*value).into())).collect()
    }

    fn hss() -> Hss {
        let profile = crate::config::load_profile("lab", &[]).expect("in the binary");
        let config = profile.hss(crate::time::Epoch::SIMULATION).expect("the lab's HSS is sound");
        Hss::new(config, crate::hss::Store::default(), crate::random::Random::seeded(1))
    }

    #[test]
    fn records_of_nobody_stay_and_are_counted() {
        let scratch = Scratch::new("state-unknown");
        let value = [&[1_u8, 0, 0][..], &[0; 26]].concat();
        let state = StateDir::open(&scratch.0).expect("a fresh directory");
        state.commit(records(&[("gone@example", &value)])).expect("written");
        drop(state);
        for _ in 0..2 {
            let state = StateDir::open(&scratch.0).expect("the same directory");
            let recovered = state.restore(&mut hss()).expect("readable");
            assert_eq!(recovered, Recovered { taken: 0, unknown: 1 });
        }
    }

    #[test]
    fn a_damaged_record_is_refused_with_directory_and_key() {
        let scratch = Scratch::new("state-damaged");
        let state = StateDir::open(&scratch.0).expect("a fresh directory");
        state.commit(records(&[("001010000000001@example", &[7])])).expect("written");
        let fault = state.restore(&mut hss()).expect_err("version 7").to_string();
        let place = scratch.0.display();
        assert_eq!(
            fault,
            format!("state directory {place}, record of 001010000000001@example: version 7 found, 1 expected")
        );
    }

    #[test]
    fn two_processes_cannot_have_it() {
        let scratch = Scratch::new("state-locked");
        let _first = StateDir::open(&scratch.0).expect("a fresh directory");
        let fault = StateDir::open(&scratch.0).expect_err("it is open").to_string();
        assert_eq!(fault, format!("state directory {}: another process has it open", scratch.0.display()));
    }

    #[test]
    fn what_is_no_directory_is_named() {
        let scratch = Scratch::new("state-file");
        std::fs::write(&scratch.0, "x").expect("a file");
        let fault = StateDir::open(&scratch.0).expect_err("a file").to_string();
        let _ = std::fs::remove_file(&scratch.0);
        assert!(fault.starts_with(&format!("state directory {}: ", scratch.0.display())), "{fault}");
    }
}
