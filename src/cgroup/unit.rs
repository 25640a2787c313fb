//! The control group of one unit: its files, some of them kept open.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use super::resources::{KernelFile, Resources};

/// The initial size of the read buffer: most files are shorter.
const USUAL_BYTES: usize = 4096;

/// The most that is read of one file: ten times the `io.stat` of a machine with 1,000 disks.
const MAX_BYTES: usize = 1 << 20;

/// The control group of one unit in one hierarchy.
#[derive(Debug)]
pub(super) struct UnitCgroup {
    directory: PathBuf,
    /// The files that it should have.
    files: Vec<KernelFile>,
    /// Those it does not have, because of the kernel's version or configuration.
    absent: Vec<KernelFile>,
    /// Files kept open: reading one takes a fifth of the time of opening and reading it.
    kept: Vec<(KernelFile, File)>,
}

/// How many more files may be kept open.
pub(super) struct Room {
    left: AtomicUsize,
    /// How many were opened and had no room.
    refused: AtomicUsize,
}

// === impl UnitCgroup ===

impl UnitCgroup {
    /// The control group at `directory`, which should have these files.
    pub(super) fn new(directory: &Path, files: &[KernelFile]) -> Self {
        let (directory, files) = (directory.to_owned(), files.to_owned());
        Self { directory, files, absent: Vec::new(), kept: Vec::new() }
    }

    /// How many files it keeps open.
    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Sets its directory and the files it should have.
    pub(super) fn expect(&mut self, directory: &Path, files: &[KernelFile]) {
        // Both are made in the same way. Comparing them as paths, part by part, takes longer.
        if self.directory.as_os_str() != directory.as_os_str() {
            *self = Self::new(directory, files);
        }
        if self.files != files {
            self.files = files.to_owned();
            self.absent.clear();
            self.kept.retain(|(file, _)| self.files.contains(file));
        }
    }

    /// Reads all files. Those that do not exist are skipped, as are all files of a control group that
    /// was removed meanwhile.
    pub(super) fn read(&mut self, room: &Room, buffer: &mut Vec<u8>, into: &mut Resources) {
        let mut missing = Vec::new();
        let mut exists = false;
        for at in 0..self.files.len() {
            let Some(file) = self.files.get(at).copied() else { break };
            if self.absent.contains(&file) {
                continue;
            }
            match self.read_file(file, room, buffer) {
                Ok(length) => {
                    exists = true;
                    let text = buffer.get(..length).and_then(|text| std::str::from_utf8(text).ok());
                    text.into_iter().for_each(|text| file.take(text, into));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(file),
                Err(_) => {}
            }
        }
        // If no file exists, the control group was removed: that says nothing about its files.
        if exists {
            self.absent.append(&mut missing);
        }
    }

    fn read_file(
        &mut self,
        file: KernelFile,
        room: &Room,
        buffer: &mut Vec<u8>,
    ) -> io::Result<usize> {
        if let Some(at) = self.kept.iter().position(|(kept, _)| *kept == file) {
            if let Some(Ok(length)) = self.kept.get(at).map(|(_, open)| fill(open, buffer)) {
                return Ok(length);
            }
            // Open files of a removed control group cannot be read. A new control group may have
            // taken its place.
            self.kept.swap_remove(at);
            self.absent.clear();
        }
        let open = File::open(self.directory.join(file.name()))?;
        let length = fill(&open, buffer)?;
        if room.take() {
            self.kept.push((file, open));
        }
        Ok(length)
    }
}

/// Reads a file from its beginning into `buffer`, and returns its length.
fn fill(file: &File, buffer: &mut Vec<u8>) -> io::Result<usize> {
    buffer.resize(buffer.len().max(USUAL_BYTES), 0);
    let mut length = 0;
    loop {
        let rest = buffer.get_mut(length..).unwrap_or_default();
        let offset = u64::try_from(length).map_err(io::Error::other)?;
        let room = rest.len();
        let read = file.read_at(rest, offset)?;
        length += read;
        // A kernel file fits into one read, so a short read is the end.
        if read < room || length >= MAX_BYTES {
            return Ok(length);
        }
        buffer.resize(buffer.len() * 2, 0);
    }
}

// === impl Room ===

impl Room {
    pub(super) fn new(files: usize) -> Self {
        Self { left: AtomicUsize::new(files), refused: AtomicUsize::new(0) }
    }

    /// How many files had no room.
    pub(super) fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    fn take(&self) -> bool {
        let less = |room: usize| room.checked_sub(1);
        let has_room = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok();
        if !has_room {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }
}
