//! Sockets, signals and exit codes of the real binary.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{self, UnixDatagram, UnixStream},
    },
    path::PathBuf,
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process};
use unitwatch::cgroup;

use crate::harness::open_file_limits;

/// The longest that a test waits for one condition.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running exporter, killed on drop.
struct Exporter {
    child: Child,
    log: mpsc::Receiver<String>,
}

impl Exporter {
    fn start(arguments: &[&str]) -> Self {
        Self::start_with(&[], arguments)
    }

    fn start_with(environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        let (child, log) = spawn(&mut command(environment, arguments));
        Self::of(child, log)
    }

    fn of(child: Child, log: BufReader<ChildStderr>) -> Self {
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            log.lines().map_while(Result::ok).try_for_each(|line| sender.send(line + "\n"))
        });
        Self { child, log: lines }
    }

    /// The next line of the log that contains `text`.
    fn await_log(&mut self, text: &str) -> String {
        let mut seen = String::new();
        loop {
            let line = self.log.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|error| panic!("{error}: no {text:?} in:\n{seen}"));
            if line.contains(text) {
                return line;
            }
            seen.push_str(&line);
        }
    }

    /// The port of the next listening address.
    fn await_port(&mut self) -> u16 {
        port_in(&self.await_log("listening"))
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end and returns the rest of the log.
    fn end(mut self) -> (ExitStatus, String) {
        let status = ended(&mut self.child);
        // The log has ended with the process.
        (status, self.log.iter().collect())
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(environment: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unitwatch"));
    command.args(arguments).envs(environment.iter().copied());
    command
}

fn spawn(command: &mut Command) -> (Child, BufReader<ChildStderr>) {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    (child, log)
}

fn ended(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(start.elapsed() < PATIENCE, "the exporter does not end");
        #[expect(clippy::disallowed_methods, reason = "a test may wait")]
        thread::sleep(Duration::from_millis(10));
    }
}

fn port_in(line: &str) -> u16 {
    let address = line.split("http://").nth(1).unwrap();
    let port = address.rsplit_once(':').unwrap().1;
    port.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

/// Sends the first half of a request and waits until the exporter has read it, so that the request is
/// in flight.
fn half_a_request(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHo").unwrap();
    let client = stream.local_addr().unwrap().port();
    let start = Instant::now();
    // First acknowledged, so that it is in the other socket's queue, then read from it.
    for (local, remote, queue) in [(client, port, 0), (port, client, 1)] {
        while queued(local, remote, queue) != Some(0) {
            assert!(start.elapsed() < PATIENCE, "the request is not read");
            thread::yield_now();
        }
    }
    stream
}

/// The bytes in the send (0) or receive (1) queue of the socket between two local ports, from
/// /proc/net/tcp.
fn queued(local: u16, remote: u16, queue: usize) -> Option<u64> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let ends_with = |address: &str, port: u16| address.ends_with(&format!(":{port:04X}"));
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let both = ends_with(fields[1], local) && ends_with(fields[2], remote);
        let bytes = fields[4].split(':').nth(queue).unwrap();
        both.then(|| u64::from_str_radix(bytes, 16).unwrap())
    })
}

fn temporary(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("unitwatch-{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

#[test]
fn a_taken_port_is_one_line_and_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for format in ["logfmt", "json"] {
        let (status, log) = Exporter::start(&[
            &format!("--web.listen-address={address}"),
            &format!("--log.format={format}"),
        ])
        .end();
        assert_eq!(status.code(), Some(1));
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.contains(&format!("cannot listen on {address}: address in use")), "{log}");
        assert_eq!(log.starts_with('{'), format == "json", "{log}");
    }
}

#[test]
fn a_taken_port_among_several_opens_none() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let path = temporary("several.sock");
    let (status, _) = Exporter::start(&[
        &format!("--web.listen-address=unix:{}", path.display()),
        &format!("--web.listen-address={}", taken.local_addr().unwrap()),
    ])
    .end();
    assert_eq!(status.code(), Some(1));
    assert!(!path.exists());
}

#[test]
fn the_soft_limit_of_open_files_is_raised_as_far_as_it_is_of_use() {
    let most = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX).min(32_768);
    let of_use = u64::try_from(cgroup::DESCRIPTORS).unwrap().min(most);
    for (soft, hard, raised) in
        [(1024, most, of_use), (1024, 8192, 8192), (1024, 1024, 1024), (most, most, most)]
    {
        let mut limited = Command::new("prlimit");
        limited.arg(format!("--nofile={soft}:{hard}")).arg(env!("CARGO_BIN_EXE_unitwatch"));
        let (child, log) = spawn(limited.arg("--web.listen-address=127.0.0.1:0"));
        let mut exporter = Exporter::of(child, log);
        exporter.await_port();
        let limits = open_file_limits(Pid::from_child(&exporter.child).as_raw_pid());
        assert_eq!(limits, [raised, hard].map(|it| it.to_string()), "of {soft} and {hard}");
    }
}

/// The message on a service manager's socket from an exporter that can listen, or the error of
/// reading one after an exporter that cannot.
fn notified(name: &str, socket: &UnixDatagram, listens: bool) -> String {
    // No bus, so the exporter does not wait for one.
    let environment =
        [("NOTIFY_SOCKET", name), ("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent")];
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut message = [0; 256];
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    if listens {
        let mut exporter =
            Exporter::start_with(&environment, &["--web.listen-address=127.0.0.1:0"]);
        let length = socket.recv(&mut message).unwrap();
        let port = exporter.await_port();
        assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
        exporter.signal(Signal::TERM);
        assert_eq!(exporter.end().0.code(), Some(0));
        return String::from_utf8_lossy(&message[..length]).into_owned();
    }
    let address = format!("--web.listen-address={}", taken.local_addr().unwrap());
    assert_eq!(Exporter::start_with(&environment, &[&address]).end().0.code(), Some(1));
    socket.set_nonblocking(true).unwrap();
    socket.recv(&mut message).unwrap_err().kind().to_string()
}

#[test]
fn readiness_is_sent_to_the_service_manager_once_it_listens() {
    let path = temporary("notify.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    let name = path.to_str().unwrap();
    assert_eq!(notified(name, &socket, true), "READY=1");
    assert_eq!(notified(name, &socket, false), io::ErrorKind::WouldBlock.to_string());
    std::fs::remove_file(&path).unwrap();

    let name = format!("unitwatch-notify-{}", std::process::id());
    let address = net::SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    assert_eq!(notified(&format!("@{name}"), &socket, true), "READY=1");
}

#[test]
fn a_missing_notify_socket_is_a_warning() {
    let environment = [("NOTIFY_SOCKET", "/nonexistent/notify")];
    let mut exporter = Exporter::start_with(&environment, &["--web.listen-address=127.0.0.1:0"]);
    exporter.await_log("cannot tell the service manager at /nonexistent/notify");
    exporter.signal(Signal::TERM);
    assert_eq!(exporter.end().0.code(), Some(0));
}

#[test]
fn the_first_signal_drains_and_exits_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut exporter = Exporter::start(&["--web.listen-address=127.0.0.1:0"]);
        let port = exporter.await_port();
        let mut stream = half_a_request(port);
        exporter.signal(signal);
        exporter.await_log("stopping");
        stream.write_all(b"st: a\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        let (status, log) = exporter.end();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    }
}

#[test]
fn the_second_signal_exits_at_once() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut exporter = Exporter::start(&["--web.listen-address=127.0.0.1:0"]);
        let mut stream = half_a_request(exporter.await_port());
        exporter.signal(Signal::TERM);
        exporter.await_log("stopping");
        exporter.signal(signal);
        let (status, log) = exporter.end();
        assert_eq!(status.code(), Some(code), "{log}");
        let mut rest = Vec::new();
        // Closed or reset, without an answer.
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty());
    }
}

#[test]
fn an_unfinished_request_does_not_block_the_exit() {
    let mut exporter = Exporter::start(&["--web.listen-address=127.0.0.1:0"]);
    let _stream = half_a_request(exporter.await_port());
    exporter.signal(Signal::TERM);
    exporter.await_log("connections=1");
    let (status, _) = exporter.end();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn several_addresses_are_served_and_the_socket_file_is_removed_at_exit() {
    let path = temporary("served.sock");
    let mut exporter = Exporter::start(&[
        "--web.listen-address=127.0.0.1:0",
        "--web.listen-address",
        &format!("unix:{}", path.display()),
        "--web.telemetry-path=/elsewhere",
    ]);
    let port = exporter.await_port();
    exporter.await_log("unix:");
    let request = b"GET /elsewhere HTTP/1.0\r\n\r\n";

    let mut tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
    tcp.write_all(request).unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");

    let mut unix = UnixStream::connect(&path).unwrap();
    unix.write_all(request).unwrap();
    let mut answer = String::new();
    unix.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");

    exporter.signal(Signal::TERM);
    let (status, _) = exporter.end();
    assert_eq!(status.code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn a_stale_socket_file_of_a_killed_process_is_replaced() {
    let path = temporary("killed.sock");
    let address = format!("--web.listen-address=unix:{}", path.display());
    let mut first = Exporter::start(&[&address]);
    first.await_log("listening");
    first.signal(Signal::KILL);
    first.end();
    assert!(path.exists());

    let mut second = Exporter::start(&[&address]);
    second.await_log("listening");
    // A third exporter must not take a socket that is in use.
    let (status, log) = Exporter::start(&[&address]).end();
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("address in use"), "{log}");
    UnixStream::connect(&path).unwrap();
    second.signal(Signal::INT);
    assert_eq!(second.end().0.code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn a_closed_stderr_does_not_end_the_process() {
    let (mut child, mut log) = spawn(&mut command(&[], &["--web.listen-address=127.0.0.1:0"]));
    let listening = log.by_ref().lines().map(Result::unwrap).find(|it| it.contains("listening"));
    let port = port_in(&listening.expect("it listens before it ends"));
    // Closes the reading end of stderr: every later line is lost.
    drop(log);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(ended(&mut child).code(), Some(0));
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}
