//! The units that the demo shows, one for each thing that units do, and what to look for.

use std::path::Path;

use super::directories::SampleUnit;

/// The sample socket, in the runtime directory.
pub(super) const SOCKET: &str = "demo-echo";

/// The sample units. All are pulled in by `default.target`; none needs more than a shell and
/// coreutils, and none needs the network.
pub(super) const UNITS: &[SampleUnit<'static>] = &[
    (
        "default.target.d/demo.conf",
        "[Unit]\n\
         Wants=demo-healthy.service demo-crashing.service demo-failing.timer demo-echo.socket\n\
         Wants=demo-broken.service demo-masked.service demo-missing.service\n",
    ),
    (
        "demo-healthy.service",
        "[Unit]\n\
         Description=A service that is well\n\
         [Service]\n\
         ExecStart=/bin/sh -c 'exec sleep infinity'\n",
    ),
    (
        "demo-crashing.service",
        "[Unit]\n\
         Description=A service that crashes a second after each start\n\
         StartLimitIntervalSec=0\n\
         [Service]\n\
         ExecStart=/bin/sh -c 'sleep 1; exit 7'\n\
         Restart=on-failure\n\
         RestartSec=2\n",
    ),
    (
        "demo-failing.service",
        "[Unit]\n\
         Description=A job that fails\n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart=/bin/sh -c 'exit 1'\n",
    ),
    (
        "demo-failing.timer",
        "[Unit]\n\
         Description=Runs a job that fails, every ten seconds\n\
         [Timer]\n\
         OnActiveSec=1\n\
         OnUnitInactiveSec=10\n\
         AccuracySec=100ms\n",
    ),
    (
        "demo-echo.socket",
        "[Unit]\n\
         Description=A socket that starts a service for each connection\n\
         [Socket]\n\
         ListenStream=%t/demo-echo\n\
         Accept=yes\n",
    ),
    (
        "demo-echo@.service",
        "[Unit]\n\
         Description=Sends back what one connection sent\n\
         [Service]\n\
         ExecStart=/bin/sh -c 'exec cat'\n\
         StandardInput=socket\n",
    ),
    (
        "demo-broken.service",
        "[Unit]\n\
         Description=A service that never loads, because it says nothing to run\n\
         [Service]\n\
         Type=simple\n",
    ),
    // systemd takes an empty unit file for a masked one.
    ("demo-masked.service", ""),
];

/// What the user reads once the metrics of the manager are served at `url`.
pub fn guide(url: &str, runtime_dir: &Path) -> String {
    let runtime_dir = runtime_dir.display();
    format!(
        "\
A private systemd is running with a handful of sample units. Its metrics:

    {url}

Its crash loop, and how often it was restarted:
    curl -s {url} | grep demo-crashing.service
What has failed (a timer starts a failing job every ten seconds):
    curl -s {url} | grep '^systemd_unit_state.*failed.* 1$'
Who came to the socket, and when the timer last struck:
    curl -s {url} | grep -E '^systemd_(socket|timer)_'
What did not load (one is broken, one masked, one missing):
    curl -s {url} | grep '^systemd_units_not_loaded'
Change something and look again:
    XDG_RUNTIME_DIR={runtime_dir} systemctl --user stop demo-healthy.service

Ctrl-C ends it and leaves nothing behind.
"
    )
}
