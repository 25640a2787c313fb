//! What the repository ships beside the exporter's metrics: the command line, the systemd unit, the
//! NixOS module, the alerts and the dashboards.

mod alerts;
mod cli;
mod dashboards;
mod docs;
mod module;
mod packaging;
mod queries;
mod unit_file;
