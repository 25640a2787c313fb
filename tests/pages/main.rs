//! What the exporter serves and documents, without a systemd: `/metrics` in both formats, and the
//! README's tables.

mod any;
mod document;
mod exposition;
mod full;
mod properties;
mod readme;
#[path = "../shared/sample.rs"]
mod sample;
mod series;
