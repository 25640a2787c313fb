//! The state file: what is counted outlives the exporter, until the machine boots anew.
//!
//! It is JSON, packed with gzip, whose checksum tells a damaged file from a whole one. It is
//! written beside the old one and then takes its place, so that there is always a whole one.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize};

use crate::inventory::record::Record;

/// What this version writes, and the only one that it reads.
const VERSION: u32 = 1;

/// The most that a state file may unpack to, in bytes: tens of thousands of units take a tenth.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// Where the kernel says which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The state file of one manager.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    boot: String,
}

/// What was found where a state file should be.
#[derive(Debug)]
pub enum Found {
    /// What was counted earlier during this boot.
    Record(Box<Record>),
    /// None yet.
    Nothing,
    /// One of another boot; what it counted is over.
    OfAnotherBoot,
    /// One that cannot be used, set aside under another name.
    Damaged {
        /// Why.
        why: Unusable,
        /// Where it is now.
        now: PathBuf,
    },
}

/// Why a state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It cannot be read, or is damaged.
    #[error("{0}")]
    Incoming(#[from] io::Error),
    /// It is not what was written.
    #[error("{0}")]
    Syntax(#[from] serde_json::Error),
    /// Another version of the exporter wrote it.
    #[error("it is of version {0}, and version {VERSION} is wanted")]
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

/// What precedes everything else, in whatever version.
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
    /// [`StateError`] if the kernel does not tell which boot this is.
    pub fn new(directory: &Path, scope: &str) -> Result<Self, StateError> {
        let boot = fs::read_to_string(BOOT_ID).map_err(|source| StateError {
            what: "read",
            path: BOOT_ID.into(),
            source,
        })?;
        let path = directory.join(format!("counters-{scope}.json.gz"));
        Ok(Self { path, boot: boot.trim().to_owned() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it, and sets it aside if it cannot be used.
    ///
    /// # Errors
    /// [`StateError`] if it cannot be opened or set aside.
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

    /// Writes it anew.
    ///
    /// # Errors
    /// [`StateError`] if it cannot be written; what was there before is still there then.
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
        // Its bytes before its name, or a power cut may leave a name without bytes.
        beside.as_file().sync_all()?;
        beside.persist(&self.path)?;
        File::open(directory)?.sync_all()
    }

    fn error(&self, what: &'static str, source: io::Error) -> StateError {
        StateError { what, path: self.path.clone(), source }
    }
}
