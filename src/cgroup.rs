//! Resource use of units, read from cgroupfs, which costs systemd nothing.
//!
//! Control groups are found by walking the directories of slices: one named like a unit belongs to
//! that unit, because systemd gives no other directory in a slice such a name. What lies below a
//! service or a scope is not systemd's, and the kernel accounts for it in that unit.

mod layout;
pub mod resources;
mod unit;

use std::{
    collections::HashMap,
    fs,
    num::NonZeroUsize,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tracing::{info, warn};

use self::{
    layout::Hierarchy,
    resources::{KernelFile, Resources},
    unit::{Room, UnitCgroup},
};
use crate::{process, systemd::name::UnitName};

pub use layout::Layout;

/// Where control groups are mounted on every machine that runs systemd.
pub const MOUNT: &str = "/sys/fs/cgroup";

/// The most kernel memory that files kept open may take, in bytes.
const KEPT_MEMORY: usize = 96 << 20;

/// What each takes, by `/proc/slabinfo`: half a KiB, and a buffer of a page.
const KEPT_FILE_MEMORY: usize = 4_608;

/// How many files are kept open.
const MAX_KEPT: usize = KEPT_MEMORY / KEPT_FILE_MEMORY;

/// How many descriptors are left for all else: connections, the bus, files that are not kept.
const OTHER_DESCRIPTORS: usize = 512;

/// How many descriptors are of use.
pub const DESCRIPTORS: usize = MAX_KEPT + OTHER_DESCRIPTORS;

/// How many files a thread reads at a time: about a millisecond, less is not worth starting one.
const SHARE: usize = 512;

/// The most threads that read: more only wait for each other.
const MAX_THREADS: usize = 4;

/// Reads the resource use of one manager's units. It blocks on files, so keep it off async threads.
#[derive(Debug)]
pub struct Cgroups {
    layout: Layout,
    /// How many files may be kept open.
    max_kept: usize,
    /// How many files the last reading opened and did not keep open.
    reopened: AtomicUsize,
    /// The most threads that read; determined once, because that reads files too.
    max_threads: usize,
    hierarchies: Mutex<Vec<UnitCgroups>>,
}

/// The control groups of units in one hierarchy.
#[derive(Debug)]
struct UnitCgroups {
    hierarchy: Hierarchy,
    /// The control group and the number of the last reading that found it.
    groups: HashMap<UnitName, (UnitCgroup, u64)>,
    reading: u64,
}

// === impl Cgroups ===

impl Cgroups {
    /// Reads `files` of the control groups mounted at `mount`.
    pub fn new(mount: &Path, files: &[KernelFile]) -> Self {
        let layout = Layout::of(mount);
        let hierarchies = layout.hierarchies(mount, files).into_iter().map(UnitCgroups::new);
        let limit = process::open_file_limit().unwrap_or(usize::MAX);
        // Connections must not be refused because all descriptors are used here.
        let max_kept = limit.saturating_sub(OTHER_DESCRIPTORS.min(limit / 2)).min(MAX_KEPT);
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            layout,
            max_kept,
            reopened: AtomicUsize::new(0),
            max_threads: cores.min(MAX_THREADS),
            hierarchies: Mutex::new(hierarchies.collect()),
        }
    }

    /// How control groups are mounted here.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The current resource use of each unit that `wanted` finds by name and that has a control group.
    ///
    /// `control_group` is the manager's property `ControlGroup`: empty for the system's manager,
    /// `/user.slice/…` for a user's.
    pub fn read(
        &self,
        control_group: &str,
        wanted: impl Fn(&str) -> Option<UnitName>,
    ) -> HashMap<UnitName, Resources> {
        let mut hierarchies = self.hierarchies.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = 0;
        for groups in hierarchies.iter_mut() {
            groups.find(control_group.trim_start_matches('/'), &wanted);
            kept += groups.groups.values().map(|(group, _)| group.kept()).sum::<usize>();
        }
        let room = Room::new(self.max_kept.saturating_sub(kept));
        let mut resources = HashMap::new();
        for groups in hierarchies.iter_mut() {
            groups.read(&room, self.max_threads, &mut resources);
        }
        self.note_reopened(room.refused());
        resources
    }

    /// How many files the last reading opened and did not keep open: as many are as may be.
    pub fn reopened(&self) -> usize {
        self.reopened.load(Ordering::Relaxed)
    }

    /// Logs when files begin to be opened at each reading, and when none is any more.
    fn note_reopened(&self, files: usize) {
        let before = self.reopened.swap(files, Ordering::Relaxed);
        if files > 0 && before == 0 {
            warn!(
                files,
                kept = self.max_kept,
                "more files of control groups than may be kept open: each scrape opens the others, \
                 which takes five times as long; {}",
                if self.max_kept < MAX_KEPT {
                    "raise LimitNOFILE="
                } else {
                    "narrow the unit filters or switch groups off"
                }
            );
        } else if files == 0 && before > 0 {
            info!("all files of control groups are kept open");
        }
    }
}

// === impl UnitCgroups ===

impl UnitCgroups {
    fn new(hierarchy: Hierarchy) -> Self {
        Self { hierarchy, groups: HashMap::new(), reading: 0 }
    }

    /// Finds the control groups of the wanted units. Nothing is allocated for one that is known.
    fn find(&mut self, control_group: &str, wanted: &impl Fn(&str) -> Option<UnitName>) {
        self.reading += 1;
        let root = self.hierarchy.root.join(control_group);
        // The root slice may have any file, so its files are not filtered by controller.
        self.found("-.slice", &root, &self.hierarchy.files.clone(), wanted);
        // Ends at the latest where the kernel finds the path too long.
        let mut slices = vec![root];
        while let Some(mut directory) = slices.pop() {
            let files = self.files_below(&directory);
            let Ok(entries) = fs::read_dir(&directory) else { continue };
            for entry in entries.flatten() {
                if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    continue;
                }
                let name = entry.file_name();
                let Some(unit) = name.to_str().map(unescape) else { continue };
                directory.push(&name);
                self.found(unit, &directory, &files, wanted);
                if unit.ends_with(".slice") {
                    slices.push(directory.clone());
                }
                directory.pop();
            }
        }
        let reading = self.reading;
        self.groups.retain(|_, (_, seen)| *seen == reading);
    }

    /// The files of each control group in a slice: those of the controllers that are enabled there.
    fn files_below(&self, slice: &Path) -> Vec<KernelFile> {
        if !self.hierarchy.is_unified {
            return self.hierarchy.files.clone();
        }
        let enabled = fs::read_to_string(slice.join("cgroup.subtree_control")).unwrap_or_default();
        let has = |controller| enabled.split_ascii_whitespace().any(|it| it == controller);
        let files = self.hierarchy.files.iter().copied();
        files.filter(|file| file.controller().is_none_or(has)).collect()
    }

    /// Notes a control group, if its unit is known or wanted.
    fn found(
        &mut self,
        unit: &str,
        directory: &Path,
        files: &[KernelFile],
        wanted: &impl Fn(&str) -> Option<UnitName>,
    ) {
        if let Some((group, seen)) = self.groups.get_mut(unit) {
            group.expect(directory, files);
            *seen = self.reading;
        } else if let Some(name) = wanted(unit) {
            self.groups.insert(name, (UnitCgroup::new(directory, files), self.reading));
        }
    }

    /// Reads all control groups, on several threads if there are many.
    fn read(&mut self, room: &Room, max_threads: usize, into: &mut HashMap<UnitName, Resources>) {
        let known = into.len();
        let mut groups: Vec<_> = self
            .groups
            .iter_mut()
            .map(|(name, (group, _))| (group, into.remove(name).unwrap_or_default(), name))
            .collect();
        into.reserve(groups.len().saturating_sub(known));
        let share = SHARE.div_ceil(self.hierarchy.files.len().max(1));
        let threads = groups.len().div_ceil(share).min(max_threads);
        let shares = Mutex::new(groups.chunks_mut(share));
        let work = || {
            let mut buffer = Vec::new();
            let next = || shares.lock().unwrap_or_else(PoisonError::into_inner).next();
            while let Some(share) = next() {
                for (group, resources, _) in share {
                    group.read(room, &mut buffer, resources);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 1..threads {
                // If no thread can be started, this one does all the work.
                let _ = thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        into.extend(groups.into_iter().map(|(_, resources, name)| (name.clone(), resources)));
    }
}

/// The unit name of a directory. systemd prefixes `_` to a name that could be mistaken for a kernel
/// file, or that begins with `_` or `.` itself.
fn unescape(directory: &str) -> &str {
    directory.strip_prefix('_').unwrap_or(directory)
}

#[cfg(test)]
mod tests;
