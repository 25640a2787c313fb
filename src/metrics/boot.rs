//! How the machine came up.

use std::{collections::BTreeMap, fmt};

use super::{View, family::families, value::seconds, writer::Exposition};
use crate::{
    clock::Usec,
    inventory::manager::{BOOT_STAGES, Stamp},
};

families! {
    [Boot]
    TIME: Gauge "systemd_boot_time_seconds" ["stage"]
        "Unix time of a boot stage in seconds (FinishTimestamp and so on). Absent for a stage that did not happen.";
    MONOTONIC: Gauge "systemd_boot_monotonic_seconds" ["stage"]
        "Seconds from kernel start to a boot stage; for Firmware and Loader, seconds before kernel start (FinishTimestampMonotonic and so on). Absent for a stage that did not happen.";
    DURATION: Gauge "systemd_boot_duration_seconds" ["phase"]
        "Duration of a boot phase in seconds, as in systemd-analyze. Absent until the boot has finished and for a phase that did not happen.";
}

type Stages = BTreeMap<&'static str, Stamp>;

pub(super) fn encode(managers: &[View<'_>], out: &mut Exposition<'_>) -> fmt::Result {
    let mut times = |family, time: fn(&Stamp) -> Usec| {
        out.each(family, managers, |View { snapshot, .. }, samples| {
            BOOT_STAGES.into_iter().try_for_each(|stage| {
                let stamp = snapshot.manager.boot.get(stage);
                samples.add_some([stage], stamp.map(|stamp| seconds(time(stamp))))
            })
        })
    };
    times(&TIME, |stamp| stamp.realtime)?;
    times(&MONOTONIC, |stamp| stamp.monotonic)?;
    out.each(&DURATION, managers, |View { snapshot, .. }, samples| {
        let mut durations = durations(&snapshot.manager.boot).into_iter();
        durations.try_for_each(|(phase, took)| samples.add_some([phase], took.map(seconds)))
    })
}

/// The phases of the boot, in order, and how long each took.
fn durations(boot: &Stages) -> [(&'static str, Option<Usec>); 6] {
    let at = |stage| boot.get(stage).map(|stamp: &Stamp| stamp.monotonic).filter(|at| *at > 0);
    let between = |from: Option<Usec>, to: Option<Usec>| to?.checked_sub(from?);

    let (userspace, finish) = (at("Userspace"), at("Finish"));
    let in_userspace = between(userspace, finish);
    // User managers and containers have no kernel of their own, and the monotonic clock began long
    // before them, so only their userspace counts. As in systemd-analyze, the sign of a machine is
    // the security module, which only the first process of a machine loads.
    let booted = finish.is_some() && at("SecurityStart").is_some();
    if !booted {
        let phases = ["firmware", "loader", "kernel", "initrd", "userspace", "total"];
        return phases
            .map(|phase| (phase, in_userspace.filter(|_| matches!(phase, "userspace" | "total"))));
    }

    // Firmware and loader are counted backwards from the kernel's start.
    let (firmware, loader, initrd) = (at("Firmware"), at("Loader"), at("InitRD"));
    let total = finish.map(|finish| firmware.unwrap_or(0).saturating_add(finish));
    [
        ("firmware", between(Some(loader.unwrap_or(0)), firmware)),
        ("loader", loader),
        ("kernel", initrd.or(userspace)),
        ("initrd", between(initrd, userspace)),
        ("userspace", in_userspace),
        ("total", total),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stages(stages: &[(&'static str, Usec, Usec)]) -> Stages {
        let stamp = |realtime, monotonic| Stamp { realtime, monotonic };
        stages.iter().map(|(stage, real, mono)| (*stage, stamp(*real, *mono))).collect()
    }

    fn known(boot: &Stages) -> Vec<(&'static str, Usec)> {
        durations(boot).into_iter().filter_map(|(phase, took)| Some((phase, took?))).collect()
    }

    #[test]
    fn a_boot_with_firmware_and_initrd_adds_up() {
        let boot = stages(&[
            ("Firmware", 89_000_000, 11_000_000),
            ("Loader", 96_000_000, 4_000_000),
            ("Kernel", 100_000_000, 0),
            ("InitRD", 102_000_000, 2_000_000),
            ("Userspace", 105_000_000, 5_000_000),
            ("SecurityStart", 105_100_000, 5_100_000),
            ("Finish", 117_500_000, 17_500_000),
        ]);
        let expected = [
            ("firmware", 7_000_000),
            ("loader", 4_000_000),
            ("kernel", 2_000_000),
            ("initrd", 3_000_000),
            ("userspace", 12_500_000),
            ("total", 28_500_000),
        ];
        assert_eq!(known(&boot), expected);
        let phases: Usec = expected[..5].iter().map(|(_, took)| took).sum();
        assert_eq!(phases, expected[5].1);
    }

    #[test]
    fn without_an_initrd_the_kernel_phase_lasts_until_userspace() {
        let boot = stages(&[
            ("Kernel", 100_000_000, 0),
            ("Userspace", 101_000_000, 1_000_000),
            ("SecurityStart", 101_000_001, 1_000_001),
            ("Finish", 104_000_000, 4_000_000),
        ]);
        let expected = [("kernel", 1_000_000), ("userspace", 3_000_000), ("total", 4_000_000)];
        assert_eq!(known(&boot), expected);
    }

    #[test]
    fn without_a_kernel_of_its_own_only_userspace_has_a_duration() {
        let boot = stages(&[
            ("Kernel", 4_000_000, 0),
            ("Userspace", 9_000_000, 5_000_000),
            ("Finish", 9_700_000, 5_700_000),
        ]);
        assert_eq!(known(&boot), [("userspace", 700_000), ("total", 700_000)]);
    }

    #[test]
    fn an_unfinished_boot_has_no_durations() {
        let userspace = ("Userspace", 9_000_000, 5_000_000);
        let security = ("SecurityStart", 9_100_000, 5_100_000);
        for boot in [
            &[userspace][..],
            &[userspace, ("Finish", 0, 0)],
            &[userspace, security],
            &[userspace, security, ("Finish", 0, 0)],
        ] {
            assert_eq!(known(&stages(boot)), [], "{boot:?}");
        }
    }
}
