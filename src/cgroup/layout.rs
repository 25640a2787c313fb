//! How control groups are mounted: one hierarchy for all controllers, or one for each.

use std::path::{Path, PathBuf};

use super::resources::KernelFile;

/// How control groups are mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// cgroup v2 only.
    Unified,
    /// cgroup v2 to track units, cgroup v1 for the controllers.
    Hybrid,
    /// cgroup v1 only.
    Legacy,
}

/// One hierarchy and the files in it that are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    pub(super) root: PathBuf,
    pub(super) files: Vec<KernelFile>,
    /// cgroup v2: each directory lists the controllers of its children.
    pub(super) is_unified: bool,
}

// === impl Layout ===

impl Layout {
    /// The layout of the control groups mounted at `mount`.
    pub fn of(mount: &Path) -> Self {
        // Only cgroup v2 has this file at its root.
        let is_unified = |root: &Path| root.join("cgroup.controllers").exists();
        if is_unified(mount) {
            Self::Unified
        } else if is_unified(&mount.join("unified")) {
            Self::Hybrid
        } else {
            Self::Legacy
        }
    }

    /// Which resources cannot be served here, and why; `None` if all can.
    pub fn shortcoming(self) -> Option<&'static str> {
        match self {
            Self::Unified => None,
            Self::Hybrid => Some(
                "memory and IO of units are not served: their controllers use cgroup v1; \
                 boot with systemd.unified_cgroup_hierarchy=1",
            ),
            Self::Legacy => Some(
                "CPU, memory, IO and pressure of units are not served: all control groups use \
                 cgroup v1; boot with systemd.unified_cgroup_hierarchy=1",
            ),
        }
    }

    /// The hierarchies that have any of `files`.
    pub(super) fn hierarchies(self, mount: &Path, files: &[KernelFile]) -> Vec<Hierarchy> {
        let hierarchy = |root: PathBuf, is_unified, has: &dyn Fn(KernelFile) -> bool| Hierarchy {
            root,
            files: files.iter().copied().filter(|file| has(*file)).collect(),
            is_unified,
        };
        // The files of the pids controller are the same in cgroup v1 and v2.
        let pids =
            || hierarchy(mount.join("pids"), false, &|file| file.controller() == Some("pids"));
        let all = match self {
            Self::Unified => vec![hierarchy(mount.to_owned(), true, &|_| true)],
            Self::Hybrid => {
                let core = |file: KernelFile| file.controller().is_none();
                vec![hierarchy(mount.join("unified"), true, &core), pids()]
            }
            Self::Legacy => vec![pids()],
        };
        all.into_iter().filter(|hierarchy| !hierarchy.files.is_empty()).collect()
    }
}
