//! The state file: counters outlive the exporter, until the next boot.
//!
//! It is JSON packed with gzip, whose checksum detects damage. A new file is written beside the old
//! one and then renamed, so that there is always a complete one.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize};

use crate::inventory::record::Record;

/// The version of the format. No other is read.
const VERSION: u32 = 1;

/// The most bytes that a state file may unpack to. Tens of thousands of units take a tenth of it.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// The kernel's identifier of the current boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The state file of one manager.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    boot: String,
}

/// What loading a state file found.
#[derive(Debug)]
pub enum Found {
    /// The counters of an earlier run during this boot.
    Record(Box<Record>),
    /// There is no file.
    Nothing,
    /// A file of another boot, whose counters do not apply.
    OfAnotherBoot,
    /// A file that cannot be used, renamed.
    Damaged {
        /// Why.
        why: Unusable,
        /// Its new path.
        now: PathBuf,
    },
}

/// Why a state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It cannot be read, or is damaged.
    #[error("{0}")]
    Incoming(#[from] io::Error),
    /// It is not JSON, or not of this format.
    #[error("{0}")]
    Syntax(#[from] serde_json::Error),
    /// Another version of the exporter wrote it.
    #[error("its version is {0}, and this unitwatch reads version {VERSION} only")]
    Version(u32),
}

/// The state file could not be read, written or set aside.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}: {source}", path.display())]
pub struct StateError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// The first two fields, which every version has.
#[derive(Deserialize)]
struct Preamble {
    version: u32,
    boot_id: String,
}

#[derive(Serialize)]
struct Outgoing<'a> {
    version: u32,
    boot_id: &'a str,
    record: &'a Record,
}

#[derive(Deserialize)]
struct Incoming {
    record: Record,
}

// === impl StateFile ===

impl StateFile {
    /// The state file in this directory, for the manager that `scope` names.
    ///
    /// # Errors
    /// [`StateError`] if the kernel's boot identifier cannot be read.
    pub fn new(directory: &Path, scope: &str) -> Result<Self, StateError> {
        let boot = fs::read_to_string(BOOT_ID).map_err(|source| StateError {
            what: "read",
            path: BOOT_ID.into(),
            source,
        })?;
        let path = directory.join(format!("counters-{scope}.json.gz"));
        Ok(Self { path, boot: boot.trim().to_owned() })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file, and renames it if it cannot be used.
    ///
    /// # Errors
    /// [`StateError`] if it cannot be opened or renamed.
    pub fn load(&self) -> Result<Found, StateError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(source) => return Err(self.error("open", source)),
        };
        match self.read(file) {
            Ok(Some(record)) => Ok(Found::Record(Box::new(record))),
            Ok(None) => Ok(Found::OfAnotherBoot),
            Err(why) => {
                let now = self.path.with_extension("gz.damaged");
                fs::rename(&self.path, &now).map_err(|error| self.error("set aside", error))?;
                Ok(Found::Damaged { why, now })
            }
        }
    }

    fn read(&self, file: File) -> Result<Option<Record>, Unusable> {
        let mut text = Vec::new();
        GzDecoder::new(file).take(MAX_BYTES).read_to_end(&mut text)?;
        let Preamble { version, boot_id } = serde_json::from_slice(&text)?;
        if version != VERSION {
            return Err(Unusable::Version(version));
        }
        if boot_id != self.boot {
            return Ok(None);
        }
        Ok(Some(serde_json::from_slice::<Incoming>(&text)?.record))
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// [`StateError`] if it cannot be written; the old file stays then.
    pub fn save(&self, record: &Record) -> Result<(), StateError> {
        self.write(record).map_err(|error| self.error("write", error))
    }

    fn write(&self, record: &Record) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        let mut beside = tempfile::Builder::new().prefix(".counters-").tempfile_in(directory)?;
        let written = Outgoing { version: VERSION, boot_id: &self.boot, record };
        let packed = GzEncoder::new(beside.as_file_mut(), Compression::fast());
        let mut buffered = io::BufWriter::new(packed);
        serde_json::to_writer(&mut buffered, &written)?;
        buffered.into_inner().map_err(io::IntoInnerError::into_error)?.finish()?;
        // Sync before the rename, or a power cut may leave an empty file under the name.
        beside.as_file().sync_all()?;
        beside.persist(&self.path)?;
        File::open(directory)?.sync_all()
    }

    fn error(&self, what: &'static str, source: io::Error) -> StateError {
        StateError { what, path: self.path.clone(), source }
    }
}
