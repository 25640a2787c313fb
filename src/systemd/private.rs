//! systemd's private socket, adapted for zbus.
//!
//! On `/run/systemd/private` there is no bus, and systemd names `org.freedesktop.systemd1` as the
//! sender of every message. The D-Bus specification requires a unique name there, and zbus ends the
//! connection at the first message without one. This socket reads whole messages and replaces the
//! first letter of the name with a colon. zbus then reads `:rg.freedesktop.systemd1`, which is
//! valid and the name of no real peer. The socket has one peer, so senders do not matter.

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

/// The longest message that is read, in bytes. `ListUnits` of 131,072 units, systemd's limit, is
/// about 30 MB.
const MAX_MESSAGE: usize = 64 << 20;

/// The length of the fixed start of every message.
const FIXED_HEADER: usize = 16;

/// The code of the header field that names the sender.
const SENDER_FIELD: u8 = 7;

/// A connection to systemd's private socket.
#[derive(Debug)]
pub(super) struct PrivateSocket(UnixStream);

#[derive(Debug)]
pub(super) struct Reader {
    stream: BufReader<OwnedReadHalf>,
    /// One message, or one line of the handshake.
    frame: Vec<u8>,
    /// How many of its bytes zbus has taken.
    taken: usize,
}

#[derive(Debug)]
pub(super) struct Writer(OwnedWriteHalf);

// === impl PrivateSocket ===

impl PrivateSocket {
    /// Connects to the socket at this path.
    ///
    /// # Errors
    /// The error of connect(2).
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
    /// Reads the next message or line of the handshake. The frame is empty at the end of the stream.
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

/// Reads a number in the byte order of a message.
type Number = fn([u8; 4]) -> u32;

fn too_long() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("a message from systemd is longer than {MAX_MESSAGE} bytes"),
    )
}

fn number_at(bytes: &[u8], at: usize, number: Number) -> Option<usize> {
    let four = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    usize::try_from(number(four)).ok()
}

/// The lengths of the headers and of the whole message, from its fixed start. `None` if it is
/// longer than [`MAX_MESSAGE`].
fn lengths(start: &[u8], number: Number) -> Option<(usize, usize)> {
    let (body, fields) = (number_at(start, 4, number)?, number_at(start, 12, number)?);
    let headers = FIXED_HEADER.checked_add(fields)?;
    let length = headers.checked_next_multiple_of(8)?.checked_add(body)?;
    (length <= MAX_MESSAGE).then_some((headers, length))
}

/// Where the sender's name starts in a message's headers. `None` if there is none, if it is a
/// unique name already, or if the headers cannot be read.
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

    /// One field of a header: its code, signature and value, padded to 8 bytes.
    fn field(code: u8, signature: u8, value: &[u8]) -> Vec<u8> {
        let mut field = [&[code, 1, signature, 0], value].concat();
        field.resize(field.len().next_multiple_of(8), 0);
        field
    }

    fn text(text: &str) -> Vec<u8> {
        [&u32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes(), b"\0"].concat()
    }

    fn header(fields: &[Vec<u8>]) -> Vec<u8> {
        [vec![0; FIXED_HEADER], fields.concat()].concat()
    }

    #[test]
    fn the_sender_is_found_behind_fields_of_every_type() {
        let before = [
            field(1, b'o', &text("/org/freedesktop")),
            field(5, b'u', &7_u32.to_be_bytes()),
            field(8, b'g', b"\x0assssssssss\0"),
            field(8, b'g', b"\x03sss\0"),
            field(3, b's', &text("UnitNew")),
        ];
        for count in 0..=before.len() {
            let mut headers = header(&before[..count]);
            let sender = headers.len() + 8;
            headers.extend(field(SENDER_FIELD, b's', &text("org")));
            assert_eq!(sender_at(&headers, u32::from_be_bytes), Some(sender));
        }
    }

    #[test]
    fn without_a_sender_to_change_none_is_found() {
        let number = u32::from_be_bytes;
        assert_eq!(sender_at(&header(&[]), number), None);
        assert_eq!(sender_at(&header(&[field(SENDER_FIELD, b's', &text(":1.7"))]), number), None);
        assert_eq!(sender_at(&header(&[field(SENDER_FIELD, b's', &text(""))]), number), None);
        let of_no_known_type = field(2, b'v', &text("v"));
        let sender = field(SENDER_FIELD, b's', &text("org"));
        assert_eq!(sender_at(&header(&[of_no_known_type, sender]), number), None);
    }

    #[test]
    fn the_lengths_are_those_of_the_headers_and_of_the_whole_message() {
        let start = |fields: u32, body: u32| {
            let mut start = [0; FIXED_HEADER];
            start[4..8].copy_from_slice(&body.to_be_bytes());
            start[12..].copy_from_slice(&fields.to_be_bytes());
            start
        };
        let of = |fields, body| lengths(&start(fields, body), u32::from_be_bytes);
        assert_eq!(of(0, 0), Some((16, 16)));
        assert_eq!(of(9, 5), Some((25, 37)), "the body starts at a multiple of 8");
        let most = u32::try_from(MAX_MESSAGE - FIXED_HEADER).unwrap();
        assert_eq!(of(0, most), Some((16, 64 << 20)));
        for (fields, body) in [(0, most + 1), (u32::MAX, 0), (0, u32::MAX)] {
            assert_eq!(of(fields, body), None);
        }
    }

    /// The two ends of a socket: the peer's, and ours.
    fn ends() -> (UnixStream, Reader, Writer) {
        let (peer, own) = UnixStream::pair().unwrap();
        let (reader, writer) = PrivateSocket(own).split().take();
        (peer, reader, writer)
    }

    async fn read(reader: &mut Reader, length: usize) -> Vec<u8> {
        let mut buffer = vec![0; length];
        let (count, _) = reader.recvmsg(&mut buffer).await.unwrap();
        buffer.truncate(count);
        buffer
    }

    #[tokio::test]
    async fn lines_and_messages_are_read_one_by_one_and_in_pieces() {
        let (mut peer, mut reader, _writer) = ends();
        let message = zbus::Message::signal("/", "a.b.C", "UnitNew")
            .sender(":rg.freedesktop.systemd1")
            .build(&("ssh.service", 7_u32))
            .unwrap();
        let message = message.data().to_vec();
        let mut said = message.clone();
        let name = said.windows(4).position(|four| four == b":rg.").unwrap();
        said[name] = b'o';
        peer.write_all(b"OK 0123\r\n").await.unwrap();
        peer.write_all(&said).await.unwrap();
        peer.write_all(&said).await.unwrap();
        drop(peer);
        assert_eq!(read(&mut reader, 3).await, b"OK ");
        assert_eq!(read(&mut reader, 64).await, b"0123\r\n");
        assert_eq!(read(&mut reader, 4096).await, message);
        let first = read(&mut reader, FIXED_HEADER).await;
        assert_eq!([first, read(&mut reader, 4096).await].concat(), message);
        assert_eq!(read(&mut reader, 64).await, b"", "the end of the stream");
    }

    #[tokio::test]
    async fn a_message_in_either_order_of_bytes_is_read() {
        for (first, body) in [(b'l', 3_u32.to_le_bytes()), (b'B', 3_u32.to_be_bytes())] {
            let (mut peer, mut reader, _writer) = ends();
            let mut message = vec![first, 0, 0, 0];
            message.extend(body);
            message.resize(FIXED_HEADER + 3, 7);
            message[12..FIXED_HEADER].fill(0);
            peer.write_all(&message).await.unwrap();
            assert_eq!(read(&mut reader, 64).await, message);
        }
    }

    #[tokio::test]
    async fn a_message_that_is_too_long_ends_the_connection() {
        let (mut peer, mut reader, _writer) = ends();
        peer.write_all(b"l\0\0\0\xff\xff\xff\xff\0\0\0\0\0\0\0\0").await.unwrap();
        let error = reader.recvmsg(&mut [0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains("67108864 bytes"), "{error}");
    }

    #[tokio::test]
    async fn what_is_written_arrives_until_the_socket_is_closed() {
        let (mut peer, _reader, mut writer) = ends();
        assert_eq!(writer.sendmsg(b"AUTH", &[]).await.unwrap(), 4);
        writer.close().await.unwrap();
        let mut said = Vec::new();
        peer.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, b"AUTH");
    }

    #[tokio::test]
    async fn a_socket_that_is_not_there_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("private");
        assert!(PrivateSocket::connect(&path).await.is_err());
        let _listener = tokio::net::UnixListener::bind(&path).unwrap();
        assert!(PrivateSocket::connect(&path).await.is_ok());
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
