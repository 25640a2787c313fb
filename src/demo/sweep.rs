//! Removes what a private manager left, where its shell was killed and could not.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::time;

/// How often, and after which pause, to look whether the kernel has let go of what was killed:
/// five seconds in all. It tells nobody when it has.
const TRIES: usize = 200;
const PAUSE: Duration = Duration::from_millis(25);

/// Kills everything in `cgroup` and removes it and `directory`. Fails with what is still there.
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
                // One that has just ended by itself is as good.
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

/// Unlike the standard library's, also removes directories that nobody may look into or change, of
/// which systemd makes some.
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
