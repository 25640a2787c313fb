//! The private manager's journal: a socket whose messages go to a file. A user manager can log only
//! to a journal or a terminal.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    net::Shutdown,
    os::unix::net::UnixDatagram,
    path::Path,
    thread,
};

/// How much of the log an error message shows.
const TAIL_BYTES: i64 = 4096;
const TAIL_LINES: usize = 20;

/// The maximum size of the log file. Why a start failed is at its beginning.
const MAX_LOG: usize = 1 << 20;

/// Receives messages until it is dropped.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
}

// === impl Journal ===

impl Journal {
    /// Listens on `socket` and appends the messages to `log`.
    ///
    /// Runs in a thread, not a task: a manager that logs waits up to ten seconds for its journal,
    /// even while a test blocks its runtime.
    pub(super) fn listen(socket: &Path, mut log: File) -> io::Result<Self> {
        let socket = UnixDatagram::bind(socket)?;
        let receiver = socket.try_clone()?;
        thread::Builder::new().name("demo-journal".to_owned()).spawn(move || {
            let (mut datagram, mut room) = (vec![0; 64 * 1024], MAX_LOG);
            while let Ok(length) = receiver.recv(&mut datagram) {
                // No client sends an empty datagram; a socket that was shut down does.
                let Some(entry) = datagram.get(..length).filter(|entry| !entry.is_empty()) else {
                    break;
                };
                if let Some(line) = message(entry)
                    && line.len() < room
                {
                    room -= line.len() + 1;
                    if log.write_all(&[line, b"\n"].concat()).is_err() {
                        room = 0;
                    }
                }
            }
        })?;
        Ok(Self { socket })
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Wakes the thread; fails only if it has ended.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// The text of a journal entry; `None` for one of several lines, which has another form.
fn message(entry: &[u8]) -> Option<&[u8]> {
    entry.split(|byte| *byte == b'\n').find_map(|field| field.strip_prefix(b"MESSAGE="))
}

/// The last lines of a log, to append to an error message; empty if the log is.
pub(super) fn tail(mut log: &File) -> String {
    let mut bytes = Vec::new();
    let read = log
        .seek(SeekFrom::End(-TAIL_BYTES))
        .or_else(|_| log.seek(SeekFrom::Start(0)))
        .and_then(|_| log.read_to_end(&mut bytes));
    if read.is_err() || bytes.is_empty() {
        return String::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let shown = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default();
    format!("; it said:\n  {}", shown.join("\n  "))
}
