//! Where this machine has its control groups: one hierarchy for all, or one for each controller.

use std::path::{Path, PathBuf};

use super::resources::KernelFile;

/// How control groups are mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Version 2 for everything.
    Unified,
    /// Version 2 for telling units apart, and version 1 for what they use.
    Hybrid,
    /// Version 1 for everything.
    Legacy,
}

/// One hierarchy and the files in it that are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    pub(super) root: PathBuf,
    pub(super) files: Vec<KernelFile>,
    /// Each directory says which controllers its children have.
    pub(super) is_unified: bool,
}

// === impl Layout ===

impl Layout {
    /// That of the control groups mounted at `mount`.
    pub fn of(mount: &Path) -> Self {
        // Only version 2 has this file at its top.
        let is_unified = |root: &Path| root.join("cgroup.controllers").exists();
        if is_unified(mount) {
            Self::Unified
        } else if is_unified(&mount.join("unified")) {
            Self::Hybrid
        } else {
            Self::Legacy
        }
    }

    /// What units have none of here, and why; `None` if that is nothing.
    pub fn shortcoming(self) -> Option<&'static str> {
        match self {
            Self::Unified => None,
            Self::Hybrid => Some(
                "memory and IO of units are not served: their controllers are on cgroup v1 here; \
                 boot with systemd.unified_cgroup_hierarchy=1",
            ),
            Self::Legacy => Some(
                "CPU, memory, IO and pressure of units are not served: all control groups are \
                 cgroup v1 here; boot with systemd.unified_cgroup_hierarchy=1",
            ),
        }
    }

    /// The hierarchies in which each of `files` is looked for.
    pub(super) fn hierarchies(self, mount: &Path, files: &[KernelFile]) -> Vec<Hierarchy> {
        let hierarchy = |root: PathBuf, is_unified, has: &dyn Fn(KernelFile) -> bool| Hierarchy {
            root,
            files: files.iter().copied().filter(|file| has(*file)).collect(),
            is_unified,
        };
        // The files of this controller are the same in both versions.
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
