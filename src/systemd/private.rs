//! systemd's private socket, made fit for zbus.
//!
//! On `/run/systemd/private` systemd is its own bus, and every message names as its sender
//! `org.freedesktop.systemd1`. The D-Bus specification wants a unique name there, zbus holds it to
//! that, and ends the connection at the first message. This socket reads whole messages and turns
//! the first letter of the name into a colon, so that zbus reads `:rg.freedesktop.systemd1`, which
//! is a name that no real peer has. Senders mean nothing on this socket: it has one peer.

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
    path::Path,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use zbus::{
    connection::socket::{ReadHalf, Socket, Split, WriteHalf},
    export::async_trait::async_trait,
};

/// The longest message that is taken. `ListUnits` of 131,072 units, the most that systemd keeps,
/// is about 30 MB.
const MAX_MESSAGE: usize = 64 << 20;

/// The fixed start of every message.
const FIXED_HEADER: usize = 16;

/// The code of the header field that names the sender.
const SENDER_FIELD: u8 = 7;

/// A connection to systemd's private socket.
#[derive(Debug)]
pub(super) struct PrivateSocket(UnixStream);

#[derive(Debug)]
pub(super) struct Reader {
    stream: BufReader<OwnedReadHalf>,
    /// One whole message, or one line of the handshake.
    frame: Vec<u8>,
    /// How much of it zbus has taken.
    taken: usize,
}

#[derive(Debug)]
pub(super) struct Writer(OwnedWriteHalf);

// === impl PrivateSocket ===

impl PrivateSocket {
    /// Connects to the socket at this path.
    ///
    /// # Errors
    /// What connect(2) says.
    pub(super) async fn connect(path: &Path) -> io::Result<Self> {
        UnixStream::connect(path).await.map(Self)
    }
}

impl Socket for PrivateSocket {
    type ReadHalf = Reader;
    type WriteHalf = Writer;

    fn split(self) -> Split<Reader, Writer> {
        let (read, write) = self.0.into_split();
        let stream = BufReader::with_capacity(64 << 10, read);
        Split::new(Reader { stream, frame: Vec::new(), taken: 0 }, Writer(write))
    }
}

// === impl Reader ===

impl Reader {
    /// Reads the next message, or the next line of the handshake; nothing at the end of the
    /// stream.
    async fn next_frame(&mut self) -> io::Result<()> {
        self.frame.clear();
        self.taken = 0;
        let first = match self.stream.fill_buf().await?.first() {
            Some(b'l') => u32::from_le_bytes,
            Some(b'B') => u32::from_be_bytes,
            // No line of the handshake starts with either letter.
            Some(_) => {
                self.stream.read_until(b'\n', &mut self.frame).await?;
                return Ok(());
            }
            None => return Ok(()),
        };
        self.frame.resize(FIXED_HEADER, 0);
        self.stream.read_exact(&mut self.frame).await?;
        let (headers, length) = lengths(&self.frame, first).ok_or_else(too_long)?;
        self.frame.resize(length, 0);
        if let Some(rest) = self.frame.get_mut(FIXED_HEADER..) {
            self.stream.read_exact(rest).await?;
        }
        let sender = self.frame.get(..headers).and_then(|headers| sender_at(headers, first));
        if let Some(letter) = sender.and_then(|at| self.frame.get_mut(at)) {
            *letter = b':';
        }
        Ok(())
    }
}

#[async_trait]
impl ReadHalf for Reader {
    async fn recvmsg(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        if self.taken == self.frame.len() {
            self.next_frame().await?;
        }
        let rest = self.frame.get(self.taken..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(rest) {
            *to = *from;
        }
        self.taken += count;
        Ok((count, Vec::new()))
    }
}

/// How a message writes numbers: a function from four bytes.
type Number = fn([u8; 4]) -> u32;

fn too_long() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("systemd announced a message of more than {MAX_MESSAGE} bytes"),
    )
}

fn number_at(bytes: &[u8], at: usize, number: Number) -> Option<usize> {
    let four = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    usize::try_from(number(four)).ok()
}

/// The length of the headers and of the whole message, from its fixed start; `None` if it is
/// longer than [`MAX_MESSAGE`].
fn lengths(start: &[u8], number: Number) -> Option<(usize, usize)> {
    let (body, fields) = (number_at(start, 4, number)?, number_at(start, 12, number)?);
    let headers = FIXED_HEADER.checked_add(fields)?;
    let length = headers.checked_next_multiple_of(8)?.checked_add(body)?;
    (length <= MAX_MESSAGE).then_some((headers, length))
}

/// Where the name of the sender starts in a message's headers, if they have one that can be read
/// and is not a unique name already.
fn sender_at(headers: &[u8], number: Number) -> Option<usize> {
    let mut at = FIXED_HEADER;
    loop {
        // A field: its code, the length and text of its signature, its value.
        at = at.checked_next_multiple_of(8)?;
        let (code, signature) = (*headers.get(at)?, *headers.get(at + 2)?);
        at += 4;
        at = match signature {
            b's' | b'o' => {
                let length = number_at(headers, at, number)?;
                let text = at + 4;
                if code == SENDER_FIELD {
                    return (length > 0 && *headers.get(text)? != b':').then_some(text);
                }
                text.checked_add(length)?.checked_add(1)?
            }
            b'u' => at + 4,
            b'g' => at + 2 + usize::from(*headers.get(at)?),
            _ => return None,
        };
    }
}

// === impl Writer ===

#[async_trait]
impl WriteHalf for Writer {
    async fn sendmsg(&mut self, buffer: &[u8], _: &[BorrowedFd<'_>]) -> io::Result<usize> {
        self.0.write(buffer).await
    }

    async fn close(&mut self) -> io::Result<()> {
        self.0.shutdown().await
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_sender_is_found_in_a_real_message() {
        let message = zbus::Message::signal("/org/freedesktop/systemd1", "a.b.C", "UnitNew")
            .sender(":rg.freedesktop.systemd1")
            .build(&("ssh.service", 7_u32))
            .unwrap();
        let mut bytes = message.data().to_vec();
        let name = bytes.windows(4).position(|four| four == b":rg.").unwrap();
        assert_eq!(sender_at(&bytes, u32::from_ne_bytes), None, "already a unique name");
        bytes[name] = b'o';
        let (headers, length) = lengths(&bytes, u32::from_ne_bytes).unwrap();
        assert_eq!(length, bytes.len());
        assert_eq!(sender_at(&bytes[..headers], u32::from_ne_bytes), Some(name));
    }

    #[test]
    fn an_absurd_length_is_refused_before_anything_is_allocated() {
        let mut start = [0; FIXED_HEADER];
        start[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(lengths(&start, u32::from_le_bytes), None);
        start[4..8].copy_from_slice(&0_u32.to_le_bytes());
        start[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(lengths(&start, u32::from_le_bytes), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            for number in [u32::from_le_bytes as Number, u32::from_be_bytes] {
                let _ = lengths(&bytes, number);
                if let Some(at) = sender_at(&bytes, number) {
                    prop_assert!(at < bytes.len());
                }
            }
        }
    }
}
