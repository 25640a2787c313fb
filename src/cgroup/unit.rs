//! One control group: its files, some of them kept open.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use super::resources::{KernelFile, Resources};

/// What a file is read into at first: most of them are shorter.
const USUAL_BYTES: usize = 4096;

/// The most that is read of one file: `io.stat` of a machine with a thousand disks is a tenth.
const MAX_BYTES: usize = 1 << 20;

/// The control group of one unit in one hierarchy.
#[derive(Debug)]
pub(super) struct UnitCgroup {
    directory: PathBuf,
    /// The files that it is to have.
    files: Vec<KernelFile>,
    /// Those of them that it does not have: the kernel is too old, or told not to.
    absent: Vec<KernelFile>,
    /// To read one that is open takes a fifth of what it takes to open it as well.
    kept: Vec<(KernelFile, File)>,
}

/// How many files may be kept open still.
pub(super) struct Room(AtomicUsize);

// === impl UnitCgroup ===

impl UnitCgroup {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, files: Vec::new(), absent: Vec::new(), kept: Vec::new() }
    }

    /// How many files it keeps open.
    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Says where it lies and which files it is to have.
    pub(super) fn expect(
        &mut self,
        directory: &Path,
        files: impl Iterator<Item = KernelFile> + Clone,
    ) {
        if self.directory != directory {
            *self = Self::new(directory.to_owned());
        }
        if !files.clone().eq(self.files.iter().copied()) {
            self.files = files.collect();
            self.absent.clear();
            self.kept.retain(|(file, _)| self.files.contains(file));
        }
    }

    /// Reads everything. A file that is not there is left out, and so is all of a group that has
    /// gone meanwhile.
    pub(super) fn read(&mut self, room: &Room, buffer: &mut Vec<u8>, into: &mut Resources) {
        let mut missing = Vec::new();
        let mut is_there = false;
        for at in 0..self.files.len() {
            let Some(file) = self.files.get(at).copied() else { break };
            if self.absent.contains(&file) {
                continue;
            }
            match self.read_file(file, room, buffer) {
                Ok(length) => {
                    is_there = true;
                    let text = buffer.get(..length).and_then(|text| std::str::from_utf8(text).ok());
                    text.into_iter().for_each(|text| file.take(text, into));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(file),
                Err(_) => {}
            }
        }
        // Where nothing is there, it is the group that has gone.
        if is_there {
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
            // A file of a group that has gone can no longer be read. Another group may be there
            // in its place.
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

/// Reads a file from its beginning; returns how long it is.
fn fill(file: &File, buffer: &mut Vec<u8>) -> io::Result<usize> {
    buffer.resize(buffer.len().max(USUAL_BYTES), 0);
    let mut length = 0;
    loop {
        let rest = buffer.get_mut(length..).unwrap_or_default();
        let offset = u64::try_from(length).map_err(io::Error::other)?;
        let room = rest.len();
        let read = file.read_at(rest, offset)?;
        length += read;
        // The kernel's own files come in one piece.
        if read < room || length >= MAX_BYTES {
            return Ok(length);
        }
        buffer.resize(buffer.len() * 2, 0);
    }
}

// === impl Room ===

impl Room {
    pub(super) fn new(files: usize) -> Self {
        Self(AtomicUsize::new(files))
    }

    fn take(&self) -> bool {
        let less = |room: usize| room.checked_sub(1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}
