//! The body of a scrape: text that is packed, where that is wished, while more of it is written.

use std::{fmt, io, io::Write as _};

use flate2::{Compression, write::GzEncoder};
use hyper::body::Bytes;

use super::negotiate::Coding;

/// How many bytes are packed at a time: fewer cost more calls, and more are no faster.
const CHUNK: usize = 64 * 1024;

/// The body of a scrape, being written. A long text that is packed is never held as a whole.
#[derive(Debug)]
pub struct Body {
    /// What is not packed yet; where nothing is, everything.
    text: String,
    packer: Option<GzEncoder<Vec<u8>>>,
}

// === impl Body ===

impl Body {
    /// An empty one.
    pub(super) fn new(coding: Coding) -> Self {
        let packer = match coding {
            Coding::Identity => None,
            // A tenth of the size, at a third of the time of the usual level.
            Coding::Gzip => Some(GzEncoder::new(Vec::new(), Compression::fast())),
        };
        Self { text: String::new(), packer }
    }

    /// Makes room for a text of about so many bytes: growing a long one step by step copies it
    /// many times over.
    pub fn expect(&mut self, bytes: usize) {
        self.text.reserve(if self.packer.is_some() { bytes.min(CHUNK) } else { bytes });
    }

    /// All that was written, packed if so wished.
    ///
    /// # Errors
    /// None that is known: packing into memory does not fail.
    pub(super) fn finish(self) -> io::Result<Bytes> {
        match self.packer {
            None => Ok(self.text.into()),
            Some(mut packer) => {
                packer.write_all(self.text.as_bytes())?;
                packer.finish().map(Bytes::from)
            }
        }
    }
}

impl fmt::Write for Body {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        if let Some(packer) = &mut self.packer
            && self.text.len() + piece.len() > CHUNK
        {
            packer.write_all(self.text.as_bytes()).map_err(|_| fmt::Error)?;
            self.text.clear();
        }
        self.text.push_str(piece);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write as _, io::Read as _};

    use flate2::read::GzDecoder;

    use super::*;

    /// However long it is and whatever its pieces are: what comes out is what went in.
    #[test]
    fn what_is_written_is_what_is_packed() {
        let long = "b".repeat(2 * CHUNK);
        let pieces = ["", "systemd_up 1\n", "a", &long];
        for (kinds, count) in [(3, 0), (3, 2), (3, CHUNK), (3, 9 * CHUNK), (4, 50)] {
            let text = || (0..count).map(|number| pieces[number % kinds]);
            let [plain, packed] = [Coding::Identity, Coding::Gzip].map(|coding| {
                let mut body = Body::new(coding);
                body.expect(count);
                text().for_each(|piece| body.write_str(piece).unwrap());
                body.finish().unwrap()
            });
            let text: String = text().collect();
            assert!(plain == text.as_bytes(), "{count} pieces of {kinds} kinds");
            let mut unpacked = String::new();
            GzDecoder::new(&packed[..]).read_to_string(&mut unpacked).unwrap();
            assert!(unpacked == text, "{count} pieces of {kinds} kinds, packed");
        }
    }
}
