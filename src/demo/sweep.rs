//! Removes what a private manager left behind if its shell was killed.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::time;

/// How often, and at which interval, to try to remove a control group whose processes were killed:
/// five seconds in total. The kernel does not signal when the processes are gone.
const TRIES: usize = 200;
const PAUSE: Duration = Duration::from_millis(25);

/// Kills the processes in `cgroup`, and removes it and `directory`. Fails with what is left.
pub(super) async fn sweep(cgroup: Option<&Path>, directory: &Path) -> Result<(), PathBuf> {
    for _ in 0..TRIES {
        let gone = cgroup.is_none_or(|cgroup| remove_cgroup(cgroup).is_ok());
        if gone && is_gone(remove_tree(directory)) {
            return Ok(());
        }
        time::sleep(PAUSE).await;
    }
    let cgroup = cgroup.filter(|cgroup| cgroup.exists());
    Err(cgroup.unwrap_or(directory).to_path_buf())
}

/// The processes in a control group and those below it.
pub(super) fn processes(cgroup: &Path) -> io::Result<Vec<Pid>> {
    let text = fs::read_to_string(cgroup.join("cgroup.procs"))?;
    let mut found: Vec<Pid> =
        text.lines().filter_map(|line| line.parse().ok().and_then(Pid::from_raw)).collect();
    for child in children(cgroup)? {
        found.extend(processes(&child)?);
    }
    Ok(found)
}

fn remove_cgroup(cgroup: &Path) -> io::Result<()> {
    match children(cgroup) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        children => {
            for pid in processes(cgroup).unwrap_or_default() {
                // Fails if it has just ended.
                let _ = kill_process(pid, Signal::KILL);
            }
            for child in children? {
                remove_cgroup(&child)?;
            }
        }
    }
    fs::remove_dir(cgroup)
}

fn children(cgroup: &Path) -> io::Result<Vec<PathBuf>> {
    let mut children = Vec::new();
    for entry in fs::read_dir(cgroup)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            children.push(entry.path());
        }
    }
    Ok(children)
}

/// Unlike the standard library's, also removes directories without permissions for their owner,
/// which systemd creates.
fn remove_tree(directory: &Path) -> io::Result<()> {
    match fs::remove_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
        done => return done,
    }
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_dir(directory)
}

fn is_gone(removed: io::Result<()>) -> bool {
    removed.err().is_none_or(|error| error.kind() == io::ErrorKind::NotFound)
}
