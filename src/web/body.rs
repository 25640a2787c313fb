//! The body of a scrape: text that is packed, where that is wished, while more of it is written.

use std::{
    fmt,
    io::{self, BufWriter, IntoInnerError, Write as _},
};

use flate2::{Compression, write::GzEncoder};
use hyper::body::Bytes;

use super::negotiate::Coding;

/// How many bytes are packed at a time, and so held.
const CHUNK: usize = 64 * 1024;

/// The body of a scrape, being written.
#[derive(Debug)]
pub struct Body(Coded);

#[derive(Debug)]
enum Coded {
    Identity(String),
    /// A long text is never held as a whole.
    Gzip(BufWriter<GzEncoder<Vec<u8>>>),
}

// === impl Body ===

impl Body {
    /// An empty one.
    pub(super) fn new(coding: Coding) -> Self {
        Self(match coding {
            Coding::Identity => Coded::Identity(String::new()),
            Coding::Gzip => {
                // A tenth of the size, at a third of the time of the usual level.
                let packer = GzEncoder::new(Vec::new(), Compression::fast());
                Coded::Gzip(BufWriter::with_capacity(CHUNK, packer))
            }
        })
    }

    /// Makes room for a text of about so many bytes: growing a long one step by step copies it
    /// many times over.
    pub fn expect(&mut self, bytes: usize) {
        if let Coded::Identity(text) = &mut self.0 {
            text.reserve(bytes);
        }
    }

    /// All that was written, packed if so wished.
    ///
    /// # Errors
    /// None that is known: packing into memory does not fail.
    pub(super) fn finish(self) -> io::Result<Bytes> {
        match self.0 {
            Coded::Identity(text) => Ok(text.into()),
            Coded::Gzip(packer) => {
                let packer = packer.into_inner().map_err(IntoInnerError::into_error)?;
                packer.finish().map(Bytes::from)
            }
        }
    }
}

impl fmt::Write for Body {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        match &mut self.0 {
            Coded::Identity(text) => text.write_str(piece),
            Coded::Gzip(packer) => packer.write_all(piece.as_bytes()).map_err(|_| fmt::Error),
        }
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
