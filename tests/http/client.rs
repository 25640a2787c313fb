//! A client that sends and reads raw bytes.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::server::Running;

/// How long a test waits before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Client<T = TcpStream> {
    stream: T,
    /// Bytes after the last answer.
    buffer: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(server: &Running) -> Self {
        Self::new(TcpStream::connect(server.address()).await.unwrap())
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Client<T> {
    pub(crate) fn new(stream: T) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes()).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends to a server that may have closed the connection.
    pub(crate) async fn try_send(&mut self, text: &str) {
        let _ = self.stream.write_all(text.as_bytes()).await;
    }

    /// Closes the sending side.
    pub(crate) async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    pub(crate) async fn ask(&mut self, request: &str) -> Answer {
        self.send(request).await;
        self.answer(!request.starts_with("HEAD ")).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await
    }

    /// Reads one answer.
    pub(crate) async fn answer(&mut self, has_body: bool) -> Answer {
        let head = loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break self.buffer.drain(..end + 4).collect::<Vec<_>>();
            }
            self.read_more().await;
        };
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<_> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut answer = Answer { status, headers, body: Vec::new() };
        if has_body {
            let length = answer.header("content-length").unwrap().parse().unwrap();
            answer.body = self.read(length).await;
        }
        answer
    }

    /// Reads until the server closes the connection.
    pub(crate) async fn rest(&mut self) -> String {
        let mut all = std::mem::take(&mut self.buffer);
        timeout(PATIENCE, self.stream.read_to_end(&mut all)).await.expect("still open").unwrap();
        String::from_utf8(all).unwrap()
    }

    /// Reads this many bytes.
    pub(crate) async fn read(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length {
            self.read_more().await;
        }
        self.buffer.drain(..length).collect()
    }

    /// Counts the bytes until the server closes or resets the connection.
    pub(crate) async fn drain(&mut self) -> usize {
        let mut length = std::mem::take(&mut self.buffer).len();
        let mut chunk = vec![0; 1 << 16];
        while let Ok(more @ 1..) =
            timeout(PATIENCE, self.stream.read(&mut chunk)).await.expect("still open")
        {
            length += more;
        }
        length
    }

    /// Waits until the server closes or resets the connection.
    pub(crate) async fn closed(&mut self) {
        while let Ok(1..) = self.stream.read(&mut [0]).await {}
    }

    async fn read_more(&mut self) {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer));
        let length = read.await.expect("no answer").unwrap();
        assert!(length > 0, "closed after {:?}", String::from_utf8_lossy(&self.buffer));
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} twice");
        value
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}
