//! The shell around a private manager, as seen by the one that started it.

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

/// How long the shell may take to tidy up: what it allows itself, and some more.
const STOP_DEADLINE: Duration = Duration::from_secs(15);

/// A running shell. It tidies up and ends when this is dropped, because its input ends then.
#[derive(Debug)]
pub(super) struct Shell {
    pid: Option<Pid>,
    input: ChildStdin,
    ended: watch::Receiver<Option<ExitStatus>>,
}

// === impl Shell ===

impl Shell {
    /// Runs `command` with a pipe to its input and one from its output.
    pub(super) fn spawn(command: Command) -> io::Result<(Self, ChildStdout)> {
        let mut command = tokio::process::Command::from(command);
        // In a process group of its own, Ctrl-C does not reach it: the end of the input does.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.ok_or_else(|| io::Error::other("no pipes to the shell"))?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let (says, ended) = watch::channel(None);
        tokio::spawn(async move {
            // Nobody else waits for this child, so this fails only if the kernel forgot it: the
            // channel then closes, which is an end too.
            if let Ok(status) = child.wait().await {
                says.send_replace(Some(status));
            }
        });
        Ok((Self { pid, input, ended }, output))
    }

    /// Waits until the shell has ended, by itself or not.
    pub(super) async fn ended(&self) {
        let _ = self.ended.clone().wait_for(Option::is_some).await;
    }

    /// Tells the shell to tidy up and waits for it, within bounds.
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
