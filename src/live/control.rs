//! The control socket of `imsreg serve`: one JSON object a line, one answered by one (`docs/configuration.md`).
//!
//! It is a Unix socket that only the owner of the process can open: whoever speaks to it may end registrations.

use super::Live;
use serde_json::Value;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// A bound socket, whose file goes with it.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

/// What answers one request.
pub type Answer = Rc<dyn Fn(&Live, &Value) -> Value>;

impl ControlSocket {
    /// Binds `path`. A file that a killed process left there is replaced, a socket that somebody answers on is not.
    pub fn bind(path: &Path) -> io::Result<Self> {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process answers there"));
        }
        if std::fs::symlink_metadata(path).is_ok_and(|file| is_socket(&file)) {
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Answers whoever connects, for as long as this runs.
    pub async fn serve(&self, live: &Rc<Live>, answer: &Answer) {
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                // Out of descriptors: others may end meanwhile.
                tokio::time::sleep(super::ACCEPT_AGAIN).await;
                continue;
            };
            tokio::task::spawn_local(converse(stream, Rc::clone(live), Rc::clone(answer)));
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn converse(stream: UnixStream, live: Rc<Live>, answer: Answer) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read.take(LONGEST_CONVERSATION)).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let said = match serde_json::from_str(&line) {
            Ok(request) => answer(&live, &request),
            Err(error) => serde_json::json!({"ok": false, "error": format!("not a JSON object: {error}")}),
        };
        if write.write_all(format!("{said}\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

fn is_socket(file: &std::fs::Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_socket(&file.file_type())
}

/// Octets: a profile of the largest kind has a hundred thousand.
const LONGEST_CONVERSATION: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_file_left_behind_is_replaced_and_a_living_one_is_not() {
        let path = std::env::temp_dir().join(format!("imsreg-control-{}.sock", std::process::id()));
        let first = ControlSocket::bind(&path).unwrap();
        assert_eq!(ControlSocket::bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        // As a killed process does: the socket ends, its file stays.
        std::fs::rename(&path, path.with_extension("kept")).unwrap();
        drop(first);
        std::fs::rename(path.with_extension("kept"), &path).unwrap();
        let second = ControlSocket::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(second);
        assert!(!path.exists());
        // Somebody's file is not ours to remove.
        std::fs::write(&path, "text").unwrap();
        assert!(ControlSocket::bind(&path).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "text");
        std::fs::remove_file(&path).unwrap();
    }
}
