//! The process of the shell around a private manager.

use std::{
    io,
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{ChildStdin, ChildStdout},
    sync::watch,
    time,
};

/// How long the shell may take to clean up: its own limit of ten seconds and some more.
const STOP_DEADLINE: Duration = Duration::from_secs(15);

/// A running shell. Dropping this ends its input, after which it cleans up and ends.
#[derive(Debug)]
pub(super) struct Shell {
    pid: Option<Pid>,
    input: ChildStdin,
    ended: watch::Receiver<Option<ExitStatus>>,
}

// === impl Shell ===

impl Shell {
    /// Runs `command` with pipes to its input and from its output.
    pub(super) fn spawn(command: Command) -> io::Result<(Self, ChildStdout)> {
        let mut command = tokio::process::Command::from(command);
        // Ctrl-C must not reach it: the end of its input ends it, after the clean-up.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.ok_or_else(|| io::Error::other("no pipes to the shell"))?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let (sender, ended) = watch::channel(None);
        tokio::spawn(async move {
            // Nothing else waits for this child, so this should not fail. If it does, the channel
            // closes, which counts as the end.
            if let Ok(status) = child.wait().await {
                sender.send_replace(Some(status));
            }
        });
        Ok((Self { pid, input, ended }, output))
    }

    /// Waits until the shell has ended.
    pub(super) async fn ended(&self) {
        let _ = self.ended.clone().wait_for(Option::is_some).await;
    }

    /// Has the shell clean up and waits for its end; kills it at the deadline.
    pub(super) async fn stop(self) {
        let Self { pid, input, mut ended } = self;
        drop(input);
        let in_time = time::timeout(STOP_DEADLINE, ended.wait_for(Option::is_some)).await;
        if in_time.is_err()
            && let Some(pid) = pid
        {
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    /// The shell's process id.
    pub(super) fn pid(&self) -> Option<Pid> {
        self.pid
    }
}
