//! The managers that are watched: one for now, the system's or the user's.

use std::{collections::HashMap, path::Path, sync::Arc, time::Instant};

use tracing::info;

use crate::{
    cgroup::{Cgroups, resources::KernelFile},
    metrics::ManagerScrape,
    watch::Watch,
};

/// A watched manager.
#[derive(Debug)]
pub struct Manager {
    /// The label `user` of its series; `None` for no such label.
    user: Option<Arc<str>>,
    watch: Watch,
    cgroups: Cgroups,
}

// === impl Manager ===

impl Manager {
    /// The only watched manager. Its control groups are mounted at `mount`.
    pub fn only(watch: Watch, files: Vec<KernelFile>, mount: &Path) -> Self {
        let cgroups = Cgroups::new(mount, &files);
        if let Some(shortcoming) = cgroups.layout().shortcoming() {
            info!("{shortcoming}");
        }
        Self { user: None, watch, cgroups }
    }

    /// What is known of it.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Refreshes what systemd does not signal, and reports whether the manager answered and is in
    /// sync: a hung manager shows only in missing answers.
    pub async fn is_up(&self, deadline: Instant) -> bool {
        self.watch.refresh(deadline).await && self.watch.sync_state().is_in_sync()
    }

    /// Its part of a scrape. Blocks on files, so it must not run on a thread that receives signals.
    pub fn collect(&self, up: bool) -> ManagerScrape {
        let mut snapshot = self.watch.snapshot();
        if let Some(snapshot) = snapshot.as_mut().filter(|_| !up) {
            // The state is only current if it was just read.
            snapshot.manager.system_state = None;
        }
        let resources = snapshot.as_ref().map_or_else(HashMap::new, |snapshot| {
            let root = snapshot.manager.control_group.as_deref().unwrap_or_default();
            let members = snapshot.members();
            self.cgroups.read(root, |name| {
                let unit = snapshot.find(name).or_else(|| members.get(name).copied());
                unit.map(|unit| unit.name.clone())
            })
        });
        ManagerScrape {
            user: self.user.clone(),
            up,
            snapshot: snapshot.map(Arc::new),
            resources,
            reopened_files: self.cgroups.reopened(),
        }
    }
}
