//! What the exporter serves and documents, without a systemd: `/metrics` in both formats, and the
//! README's tables.

mod any;
mod exposition;
mod full;
mod page;
mod properties;
mod readme;
#[path = "../shared/sample.rs"]
mod sample;
mod series;
