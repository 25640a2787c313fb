//! The sample units of the demo, and the guide to their metrics.

use std::path::Path;

use super::directories::SampleUnit;

/// The sample socket, in the runtime directory.
pub(super) const SOCKET: &str = "demo-echo";

/// The sample units, wanted by `default.target`. They need a shell and coreutils, and no network.
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
         Description=A service that runs\n\
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
         Description=A service that does not load, because it has no command\n\
         [Service]\n\
         Type=simple\n",
    ),
    // An empty unit file masks the unit.
    ("demo-masked.service", ""),
];

/// What the demo prints once the metrics are served at `url`.
pub fn guide(url: &str, runtime_dir: &Path) -> String {
    let runtime_dir = runtime_dir.display();
    format!(
        "\
A private systemd is running with a handful of sample units. Its metrics:

    {url}

A crash loop and its restarts:
    curl -s {url} | grep demo-crashing.service
Failed units (a timer starts a failing job every ten seconds):
    curl -s {url} | grep '^systemd_unit_state.*failed.* 1$'
Connections to the socket, and when the timer last elapsed:
    curl -s {url} | grep -E '^systemd_(socket|timer)_'
Units that did not load (one broken, one masked, one missing):
    curl -s {url} | grep '^systemd_units_not_loaded'
Change something and look again:
    XDG_RUNTIME_DIR={runtime_dir} systemctl --user stop demo-healthy.service

Ctrl-C ends it and leaves nothing behind.
"
    )
}
