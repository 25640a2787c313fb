//! Where each of the manager's properties goes.

use super::snapshot::{Manager, Stamp};
use crate::systemd::property::{ManagerProperty, Value};

impl Manager {
    /// Takes one value; [`Value::Nothing`] takes it back.
    pub(super) fn learn(&mut self, property: ManagerProperty, value: &Value) {
        use ManagerProperty as P;
        let (number, text) = (value.number(), value.text());
        let owned = text.map(Into::into);
        match property {
            P::Version => self.version = owned,
            P::Architecture => self.architecture = owned,
            P::Virtualization => self.virtualization = owned,
            P::ConfidentialVirtualization => self.confidential_virtualization = owned,
            P::Tainted => self.tainted = owned,
            P::ControlGroup => self.control_group = owned,
            P::SystemState => self.system_state = text.map(Into::into),
            P::FailedUnits => self.failed_units = number,
            P::WatchdogDevice => self.watchdog.device = owned,
            P::WatchdogRuntime => self.watchdog.runtime = number,
            P::WatchdogLastPing => self.watchdog.last_ping = number,
            P::WatchdogLastPingMonotonic => self.watchdog.last_ping_monotonic = number,
            // The monotonic time of a stage that did not happen is 0, and so is the kernel's, which
            // did: only the wall clock tells them apart. It is asked for first.
            P::Stage(stage) => match number {
                Some(realtime) => self.boot.entry(stage).or_default().realtime = realtime,
                None => {
                    self.boot.remove(stage);
                }
            },
            P::StageMonotonic(stage) => {
                if let Some(Stamp { monotonic, .. }) = self.boot.get_mut(stage) {
                    *monotonic = number.unwrap_or(0);
                }
            }
        }
    }
}
