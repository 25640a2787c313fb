# Runs a private user manager until standard input ends, and then removes all of it. It outlives
# its parent until that is done, so that a crash of the parent leaves nothing behind either.
#
#   $1  the directory of this manager; the control group has the same name
#   $2  where cgroup2 is mounted
#   $3  the directory of the hierarchy that is mounted there
#   $4  systemd
#   $5  "namespaces": hide the machine behind namespaces (takes root)
#       "delegated": stay in the delegated control group of this process, without namespaces
#
# Prints "cgroup PATH" and "manager PID" on standard output.
set -u
directory=$1 mounted_at=$2 mounted=$3 systemd=$4 isolation=$5

own=$(sed -n 's/^0:://p' /proc/self/cgroup)
own=${own#"${mounted%/}"}
# The control group of a process that entered a container from outside has no path here.
case $own/ in /../*) own= ;; esac
base=$mounted_at${own%/}

if [ "$isolation" = delegated ]; then
    # Only a control group without processes of its own may enable controllers for its children.
    mkdir "$base/supervisor" && echo $$ >"$base/supervisor/cgroup.procs" || exit 1
    for controller in $(cat "$base/cgroup.controllers"); do
        echo "+$controller" >"$base/cgroup.subtree_control" || :
    done
fi

cgroup=$base/${directory##*/}

# Kills the processes in the control group until it can be removed. The kernel does not signal when
# they are gone; a machine that swaps may take ten seconds.
clean() {
    tries=0
    while [ -d "$cgroup" ] && [ "$tries" -lt 200 ]; do
        kill -9 $(find "$cgroup" -name cgroup.procs -exec cat {} + 2>/dev/null) 2>/dev/null
        find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null && break
        tries=$((tries + 1))
        sleep 0.05
    done
    # systemd creates directories without permissions for their owner.
    chmod -R u+rwX "$directory" 2>/dev/null
    rm -rf "$directory"
}

# Run by the process that is to become the manager.
manager() {
    echo 0 >"$cgroup/cgroup.procs" || exit 1
    set -- "$systemd" --user --unit=default.target \
        --log-target=journal --log-level=notice --default-standard-output=null
    if [ "$isolation" = delegated ]; then
        # Without namespaces systemd logs to the journal of the user.
        echo "the log of systemd itself is in: journalctl --user" >&2
        exec "$@"
    fi
    exec unshare --mount --cgroup sh -euc '
        directory=$1 cgroup=$2
        shift 2
        # systemd checks that systemd booted the machine, which may not be so, and must not see the
        # journal, devices and system bus of the machine. Nothing is created on the real /run.
        [ -d /run/systemd ] || mount -t tmpfs -o mode=755 tmpfs /run
        for hidden in /run/systemd /run/udev /run/dbus; do
            [ ! -d $hidden ] || mount -t tmpfs -o mode=755 tmpfs $hidden
        done
        mkdir -p /run/systemd/system /run/systemd/journal
        ln -s "$directory/journal" /run/systemd/journal/socket
        # The manager sees its own control group as the root, as in its cgroup namespace. A bind
        # mount, because the kernel refuses a second mount of cgroup2 here.
        mount --bind "$cgroup" /sys/fs/cgroup
        cd /
        exec "$@"
    ' sh "$directory" "$cgroup" "$@"
}

# Caught, not ignored, because units would inherit ignored signals; the wait below then ends. PIPE
# comes from printing after the parent has ended.
trap : HUP INT TERM PIPE
mkdir "$cgroup" || exit 1
echo "cgroup $cgroup"

exec 3<&0 </dev/null
cat <&3 >/dev/null &
input=$!
(
    manager &
    manager=$!
    echo "manager $manager"
    exec >/dev/null
    wait "$manager"
    # If the manager ends by itself, end the input and so the wait below.
    kill -9 "$input" 2>/dev/null
) 3<&- &
exec >/dev/null
wait "$input"
status=$?
clean
exit "$status"
