//! What in the kernel's tables is ours, and whose if not: each process of ours takes a range of reqids, and holds a file
//! named after it locked for as long as it lives. A file that nobody locks was left by a process that did not stop in
//! order, and what bears its range is swept.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A range of reqids.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Range(pub(super) u32);

impl Range {
    /// The reqid of the set that got this number.
    pub(super) const fn reqid(self, number: u32) -> u32 {
        FIRST + self.0 * LENGTH + number % LENGTH
    }

    /// How many numbers it has.
    pub(super) const fn len() -> u32 {
        LENGTH
    }

    pub(super) const fn contains(self, reqid: u32) -> bool {
        reqid >= FIRST + self.0 * LENGTH && reqid - (FIRST + self.0 * LENGTH) < LENGTH
    }

    /// What marks the walls of this process: they have no reqid.
    pub(super) const fn wall_priority(self) -> u32 {
        FIRST + self.0
    }
}

/// The range that this process holds.
pub(super) struct RunFile {
    pub(super) range: Range,
    path: PathBuf,
    /// Locked until it is closed.
    _file: File,
}

/// A range whose holder is gone and may have left something. It is held until that is swept: who starts at the same
/// moment could take the range, and would lose what it makes.
pub(super) struct Left {
    pub(super) range: Range,
    /// `None`: the range is ours now.
    file: Option<(File, PathBuf)>,
}

impl Left {
    /// Nothing is left: the file goes.
    pub(super) fn swept(self) {
        if let Some((_locked, path)) = self.file {
            let _ = fs::remove_file(path);
        }
    }
}

impl RunFile {
    /// Takes the first range that is free in this network namespace. The list names ranges to be swept.
    pub(super) fn take() -> io::Result<(Self, Vec<Left>)> {
        let folder = match std::env::var_os("IMSREG_RUN_DIR") {
            Some(folder) => PathBuf::from(folder),
            None => PathBuf::from("/run/imsreg"),
        };
        Self::take_in(&folder, fs::metadata("/proc/thread-self/ns/net")?.ino())
    }

    fn take_in(folder: &Path, namespace: u64) -> io::Result<(Self, Vec<Left>)> {
        fs::create_dir_all(folder).map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", folder.display())))?;
        let mut left = Vec::new();
        let mut ours = None;
        for range in (0..RANGES).map(Range) {
            let path = path(folder, namespace, range);
            let existed = path.exists();
            if !existed && ours.is_some() {
                continue;
            }
            let Some(mut file) = lock(&path)? else { continue };
            if ours.is_some() {
                left.push(Left { range, file: Some((file, path)) });
                continue;
            }
            if existed {
                left.push(Left { range, file: None });
            }
            file.set_len(0)?;
            writeln!(file, "{}", std::process::id())?;
            ours = Some(Self { range, path, _file: file });
        }
        let ours =
            ours.ok_or_else(|| io::Error::other(format!("{RANGES} processes hold their range of reqids already")))?;
        Ok((ours, left))
    }
}

/// An orderly end: nothing is left to sweep.
impl Drop for RunFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn path(folder: &Path, namespace: u64, range: Range) -> PathBuf {
    folder.join(format!("xfrm-{namespace}-{}", range.0))
}

/// Opens and locks a file; `None`: somebody else holds it.
fn lock(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(e)) => return Err(e),
        }
        // Its last holder may have removed it between the two calls: then the lock is on nothing that others see.
        match fs::metadata(path) {
            Ok(there) if there.ino() == file.metadata()?.ino() => return Ok(Some(file)),
            _ => {}
        }
    }
}

/// The first reqid of ours, far from those that people write by hand.
const FIRST: u32 = 0x696d_0000;
const LENGTH: u32 = 1 << 20;
/// How many processes share one network namespace.
const RANGES: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("imsreg-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    fn ranges(left: &[Left]) -> Vec<Range> {
        left.iter().map(|left| left.range).collect()
    }

    #[test]
    fn each_process_has_a_range_and_gives_it_back() {
        let folder = folder("ranges");
        let (first, left) = RunFile::take_in(&folder, 7).expect("a range");
        assert_eq!((first.range, ranges(&left)), (Range(0), vec![]));
        let (second, left) = RunFile::take_in(&folder, 7).expect("another");
        assert_eq!((second.range, ranges(&left)), (Range(1), vec![]));
        let (elsewhere, _) = RunFile::take_in(&folder, 8).expect("one of another namespace");
        assert_eq!(elsewhere.range, Range(0));
        drop((first, second, elsewhere));
        assert_eq!(fs::read_dir(&folder).expect("the folder").count(), 0);
        fs::remove_dir_all(folder).expect("empty");
    }

    #[test]
    fn what_a_dead_process_left_is_named_until_it_is_swept() {
        let folder = folder("left");
        fs::create_dir_all(&folder).expect("a folder");
        for range in [Range(0), Range(3)] {
            fs::write(path(&folder, 7, range), "1\n").expect("a file of a process that is gone");
        }
        let (ours, left) = RunFile::take_in(&folder, 7).expect("a range");
        assert_eq!((ours.range, ranges(&left)), (Range(0), vec![Range(0), Range(3)]));
        // Nobody takes a range that is being swept, nor sweeps it too.
        assert!(lock(&path(&folder, 7, Range(3))).expect("it is there").is_none());
        let (next, none) = RunFile::take_in(&folder, 7).expect("another");
        assert_eq!((next.range, ranges(&none)), (Range(1), vec![]));
        left.into_iter().for_each(Left::swept);
        let (third, none) = RunFile::take_in(&folder, 7).expect("a third");
        assert_eq!((third.range, ranges(&none)), (Range(2), vec![]));
        drop((ours, next, third));
        fs::remove_dir_all(folder).expect("empty");
    }

    #[test]
    fn ranges_do_not_overlap() {
        let (last, next) = (Range(2).reqid(LENGTH - 1), Range(3).reqid(0));
        assert_eq!(last + 1, next);
        assert!(Range(2).contains(last) && !Range(2).contains(next) && Range(3).contains(next));
        assert_eq!(Range(2).reqid(LENGTH), Range(2).reqid(0));
    }
}
