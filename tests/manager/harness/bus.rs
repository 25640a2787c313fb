//! The dbus-daemon of a private manager.

use std::fs;

use rustix::process::Pid;
use unitwatch::demo::PrivateManager;

use super::until;

/// Its process id; `None` while it does not run.
pub fn pid(manager: &PrivateManager) -> Option<Pid> {
    let processes = manager.cgroup().join("dbus.service/cgroup.procs");
    Pid::from_raw(fs::read_to_string(processes).ok()?.lines().next()?.parse().ok()?)
}

/// Restarts it and waits until the manager is on the new one.
pub fn restart(manager: &PrivateManager) {
    let output = manager.systemctl().args(["restart", "dbus.service"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    until("the manager is on its bus", || {
        let mut busctl = manager.command("busctl");
        let output = busctl.args(["--user", "status", "org.freedesktop.systemd1"]).output();
        let output = output.unwrap();
        if output.status.success() { Ok(()) } else { Err(output) }
    });
}
