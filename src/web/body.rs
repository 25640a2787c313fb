//! The body of a scrape, compressed while it is written if the client accepts that.

use std::{
    fmt,
    io::{self, Write as _},
};

use flate2::{Compression, write::GzEncoder};
use hyper::body::Bytes;

use super::negotiate::Coding;
use crate::metrics::Destination;

/// How many bytes are compressed at a time.
const CHUNK: usize = 64 * 1024;

/// The body of a scrape while it is written.
#[derive(Debug)]
pub struct Body {
    /// What is not compressed: all of it, or what was written last.
    text: String,
    gzip: Option<GzEncoder<Vec<u8>>>,
}

// === impl Body ===

impl Body {
    /// An empty body.
    pub(super) fn new(coding: Coding) -> Self {
        let gzip = match coding {
            Coding::Identity => None,
            // Level 1 gives a third more bytes, and level 3 takes twice the time.
            Coding::Gzip => Some(GzEncoder::new(Vec::new(), Compression::new(2))),
        };
        Self { text: String::new(), gzip }
    }

    /// Reserves memory for about this many bytes: a long text that grows is copied many times.
    pub fn reserve(&mut self, bytes: usize) {
        // A line more than a chunk.
        self.text.reserve(if self.gzip.is_some() { bytes.min(CHUNK + 4096) } else { bytes });
    }

    /// All that was written.
    ///
    /// # Errors
    /// From the encoder; writing to memory has none of its own.
    pub(super) fn finish(self) -> io::Result<Bytes> {
        match self.gzip {
            None => Ok(self.text.into()),
            Some(mut encoder) => {
                encoder.write_all(self.text.as_bytes())?;
                encoder.finish().map(Bytes::from)
            }
        }
    }
}

impl Destination for Body {
    /// Compresses what there is if it is a whole chunk, so that the whole text is never held.
    fn lines(&mut self) -> Result<&mut String, fmt::Error> {
        if let Some(encoder) = self.gzip.as_mut().filter(|_| self.text.len() >= CHUNK) {
            encoder.write_all(self.text.as_bytes()).map_err(|_| fmt::Error)?;
            self.text.clear();
        }
        Ok(&mut self.text)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn a_compressed_body_decompresses_to_the_plain_one() {
        let long = "b".repeat(2 * CHUNK);
        let pieces = ["", "systemd_up 1\n", "a", &long];
        for (kinds, count) in [(3, 0), (3, 2), (3, CHUNK), (3, 9 * CHUNK), (4, 50)] {
            let text = || (0..count).map(|number| pieces[number % kinds]);
            let [plain, compressed] = [Coding::Identity, Coding::Gzip].map(|coding| {
                let mut body = Body::new(coding);
                body.reserve(count);
                for piece in text() {
                    body.lines().unwrap().push_str(piece);
                }
                body.finish().unwrap()
            });
            let text: String = text().collect();
            assert!(plain == text.as_bytes(), "{count} pieces of {kinds} kinds");
            let mut decompressed = String::new();
            GzDecoder::new(&compressed[..]).read_to_string(&mut decompressed).unwrap();
            assert!(decompressed == text, "{count} pieces of {kinds} kinds, compressed");
        }
    }
}
