//! The unit files, and the enabled units that do not run.

use std::collections::BTreeMap;

use crate::systemd::{
    name::UnitName,
    property::Value,
    question::ListedFile,
    state::{ActiveState, FileState, RunResult},
};

use super::unit::{Details, Unit};

/// What is known of unit files.
#[derive(Debug, Default)]
pub(super) struct Files {
    files: BTreeMap<UnitName, FileState>,
    /// The enabled services that are not in systemd's memory, with their `Type` once it is known.
    /// To ask for it makes systemd load them and drop them again.
    dormant: BTreeMap<UnitName, Option<Box<str>>>,
}

/// What tells whether an enabled unit that does not run is at rest by design, besides its row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rest {
    /// A job is queued for it.
    pub(super) has_job: bool,
    /// Its conditions were looked at and were against it; `None` while that is not known.
    pub(super) unmet: Option<bool>,
    /// A timer, socket or path starts it; `None` while that is not known.
    pub(super) triggered: Option<bool>,
}

// === impl Files ===

impl Files {
    /// Takes a listing for the whole truth. `needs_no_asking` tells which units are in systemd's
    /// memory; returns the services that are to be asked about because they are not.
    pub(super) fn adopt(
        &mut self,
        listing: Vec<ListedFile>,
        needs_no_asking: impl Fn(&UnitName) -> bool,
    ) -> Vec<UnitName> {
        self.files = listing.into_iter().map(|file| (file.name, file.state)).collect();
        let enabled = self.files.iter().filter(|(_, state)| state.is_enabled());
        let absent = enabled.map(|(name, _)| name).filter(|name| !needs_no_asking(name));
        let services = absent.filter(|name| name.suffix() == "service" && !name.is_template());
        self.dormant = services.map(|name| (name.clone(), None)).collect();
        self.dormant.keys().cloned().collect()
    }

    pub(super) fn is_enabled(&self, name: &UnitName) -> bool {
        self.files.get(name).is_some_and(FileState::is_enabled)
    }

    /// Whether it was asked about though it was not in systemd's memory.
    pub(super) fn is_dormant(&self, name: &UnitName) -> bool {
        self.dormant.contains_key(name)
    }

    /// Takes in the `Type` of a service that was not in systemd's memory.
    pub(super) fn learn(&mut self, name: &UnitName, service_type: Option<&Value>) {
        if let Some(known) = self.dormant.get_mut(name) {
            *known = service_type.and_then(Value::text).map(Into::into);
        }
    }

    /// Every file with its state.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&UnitName, &FileState)> {
        self.files.iter()
    }

    /// Whether a unit that is enabled and not in systemd's memory should run.
    pub(super) fn is_missed(&self, name: &UnitName) -> bool {
        match self.dormant.get(name) {
            // It may have run and been forgotten, or be started when its bus name is wanted.
            Some(service_type) => {
                service_type.as_deref().is_some_and(|it| !matches!(it, "oneshot" | "dbus"))
            }
            None => !name.is_template() && name.suffix() != "service",
        }
    }
}

/// Whether a unit that is enabled and in systemd's memory should run and does not.
pub(super) fn is_missed(unit: &Unit, rest: Rest) -> bool {
    let service_type = match &unit.details {
        Details::Service(service) => service.service_type.as_deref().unwrap_or_default(),
        _ => "",
    };
    let finished = service_type == "oneshot"
        && unit.result == Some(RunResult::Success)
        && unit.inactive_enter.is_some();
    match unit.active_state {
        ActiveState::Failed => !rest.has_job,
        ActiveState::Inactive => {
            !rest.has_job
                && !finished
                && service_type != "dbus"
                && rest.unmet == Some(false)
                && rest.triggered == Some(false)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> UnitName {
        UnitName::new(name).unwrap()
    }

    #[test]
    fn only_enabled_units_that_are_not_there_are_asked_about() {
        let mut files = Files::default();
        let listing = [
            ("a.service", "enabled"),
            ("b.service", "enabled-runtime"),
            ("c.service", "disabled"),
            ("d@.service", "enabled"),
            ("e.timer", "enabled"),
            ("f.service", "enabled"),
        ];
        let listing =
            listing.map(|(file, state)| ListedFile { name: name(file), state: state.into() });
        let ask = files.adopt(listing.to_vec(), |it| it.as_str() == "a.service");
        assert_eq!(ask, [name("b.service"), name("f.service")]);
        assert!(!files.is_missed(&name("b.service")), "not known yet");
        files.learn(&name("b.service"), Some(&Value::Text("simple".into())));
        files.learn(&name("f.service"), Some(&Value::Text("dbus".into())));
        assert!(files.is_missed(&name("b.service")));
        assert!(!files.is_missed(&name("f.service")));
        assert!(files.is_missed(&name("e.timer")));
        assert!(!files.is_missed(&name("d@.service")));
    }

    #[test]
    fn what_rests_by_design_is_not_missed() {
        let known = Rest { has_job: false, unmet: Some(false), triggered: Some(false) };
        let mut unit = Unit::new(name("a.service"));
        assert!(is_missed(&unit, known));
        for rest in [
            Rest { has_job: true, ..known },
            Rest { unmet: Some(true), ..known },
            Rest { unmet: None, ..known },
            Rest { triggered: Some(true), ..known },
            Rest { triggered: None, ..known },
        ] {
            assert!(!is_missed(&unit, rest), "{rest:?}");
        }
        for (service_type, missed) in [("simple", true), ("oneshot", false), ("dbus", false)] {
            let Details::Service(service) = &mut unit.details else { panic!() };
            service.service_type = Some(service_type.into());
            unit.result = Some(RunResult::Success);
            unit.inactive_enter = Some(7);
            assert_eq!(is_missed(&unit, known), missed, "{service_type}");
        }
        unit.active_state = ActiveState::Failed;
        assert!(is_missed(&unit, Rest::default()));
        unit.active_state = ActiveState::Activating;
        assert!(!is_missed(&unit, known));
    }
}
