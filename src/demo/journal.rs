//! The private manager's journal: a socket whose messages go to a file, because a user manager
//! logs to a journal or a terminal and to nothing else.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    net::Shutdown,
    os::unix::net::UnixDatagram,
    path::Path,
    thread,
};

/// How much of the log is shown when something went wrong.
const TAIL_BYTES: i64 = 4096;
const TAIL_LINES: usize = 20;

/// Where the log file stops growing. What matters comes first: why something does not start.
const MAX_LOG: usize = 1 << 20;

/// Takes messages in until it is dropped.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
}

// === impl Journal ===

impl Journal {
    /// Listens on `socket` and appends what comes to `log`.
    ///
    /// In a thread and not a task: a manager that logs waits for its journal for up to ten
    /// seconds, also while a test blocks its runtime.
    pub(super) fn listen(socket: &Path, mut log: File) -> io::Result<Self> {
        let socket = UnixDatagram::bind(socket)?;
        let receiver = socket.try_clone()?;
        thread::Builder::new().name("demo-journal".to_owned()).spawn(move || {
            let (mut datagram, mut room) = (vec![0; 64 * 1024], MAX_LOG);
            while let Ok(length) = receiver.recv(&mut datagram) {
                // A datagram of nothing is the end: nobody sends one, but a closed socket does.
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
        // Wakes the thread. A failure would mean that there is nothing to wake.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// The text of a journal entry; `None` for the few that need more than a line.
fn message(entry: &[u8]) -> Option<&[u8]> {
    entry.split(|byte| *byte == b'\n').find_map(|field| field.strip_prefix(b"MESSAGE="))
}

/// The last lines of a log, ready to follow an error message; empty if nothing was logged.
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
