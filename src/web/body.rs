//! The body of a scrape, compressed while it is written if the client accepts that.

use std::{
    fmt,
    io::{self, BufWriter, IntoInnerError, Write as _},
};

use flate2::{Compression, write::GzEncoder};
use hyper::body::Bytes;

use super::negotiate::Coding;

/// How many bytes are buffered and compressed at a time.
const BUFFER_SIZE: usize = 64 * 1024;

/// The body of a scrape while it is written.
#[derive(Debug)]
pub struct Body(Coded);

#[derive(Debug)]
enum Coded {
    Identity(String),
    /// Never holds the whole text.
    Gzip(BufWriter<GzEncoder<Vec<u8>>>),
}

// === impl Body ===

impl Body {
    /// An empty body.
    pub(super) fn new(coding: Coding) -> Self {
        Self(match coding {
            Coding::Identity => Coded::Identity(String::new()),
            Coding::Gzip => {
                // A tenth of the size, in a third of the time of the default level.
                let encoder = GzEncoder::new(Vec::new(), Compression::fast());
                Coded::Gzip(BufWriter::with_capacity(BUFFER_SIZE, encoder))
            }
        })
    }

    /// Reserves memory for about this many bytes: a long text that grows is copied many times.
    pub fn reserve(&mut self, bytes: usize) {
        if let Coded::Identity(text) = &mut self.0 {
            text.reserve(bytes);
        }
    }

    /// All that was written.
    ///
    /// # Errors
    /// From the encoder; writing to memory has none of its own.
    pub(super) fn finish(self) -> io::Result<Bytes> {
        match self.0 {
            Coded::Identity(text) => Ok(text.into()),
            Coded::Gzip(buffer) => {
                let encoder = buffer.into_inner().map_err(IntoInnerError::into_error)?;
                encoder.finish().map(Bytes::from)
            }
        }
    }
}

impl fmt::Write for Body {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        match &mut self.0 {
            Coded::Identity(text) => text.write_str(piece),
            Coded::Gzip(buffer) => buffer.write_all(piece.as_bytes()).map_err(|_| fmt::Error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write as _, io::Read as _};

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn a_compressed_body_decompresses_to_the_plain_one() {
        let long = "b".repeat(2 * BUFFER_SIZE);
        let pieces = ["", "systemd_up 1\n", "a", &long];
        for (kinds, count) in [(3, 0), (3, 2), (3, BUFFER_SIZE), (3, 9 * BUFFER_SIZE), (4, 50)] {
            let text = || (0..count).map(|number| pieces[number % kinds]);
            let [plain, compressed] = [Coding::Identity, Coding::Gzip].map(|coding| {
                let mut body = Body::new(coding);
                body.reserve(count);
                text().for_each(|piece| body.write_str(piece).unwrap());
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
