//! The flags' names, without the dashes; those of groups are made by
//! [`Group::flag`](crate::metrics::group::Group::flag).
//!
//! Those of `systemd.collector`, `web` and `log` are systemd_exporter's own, so that an existing
//! unit file works as it is.
#![allow(missing_docs, reason = "the flags are documented where they are declared")]

pub const UNIT_INCLUDE: &str = "systemd.collector.unit-include";
pub const UNIT_EXCLUDE: &str = "systemd.collector.unit-exclude";
pub const UNIT_TYPE: &str = "systemd.collector.unit-type";
pub const SLICE: &str = "systemd.collector.slice";
pub const SUM: &str = "systemd.collector.sum";
pub const UNIT_STATE: &str = "systemd.collector.unit-state";
pub const PRIVATE: &str = "systemd.collector.private";
pub const USER: &str = "systemd.collector.user";
pub const RESTART_COUNT: &str = "systemd.collector.enable-restart-count";
pub const IP_ACCOUNTING: &str = "systemd.collector.enable-ip-accounting";
pub const RECONCILE_INTERVAL: &str = "systemd.collector.reconcile-interval";
pub const RETENTION: &str = "retention";
pub const MAX_SERIES: &str = "max-series";
pub const COMPAT: &str = "compat";
pub const LISTEN_ADDRESS: &str = "web.listen-address";
pub const TELEMETRY_PATH: &str = "web.telemetry-path";
pub const MAX_REQUESTS: &str = "web.max-requests";
pub const DISABLE_EXPORTER_METRICS: &str = "web.disable-exporter-metrics";
pub const LOG_LEVEL: &str = "log.level";
pub const LOG_FORMAT: &str = "log.format";
