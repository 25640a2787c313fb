# Runs a private user manager until standard input ends, and then leaves nothing of it behind.
# It outlives whoever started it for as long as that takes, so a crash there is tidied up too.
#
#   $1  the directory of this manager; its last part also names the control group
#   $2  where cgroup2 is mounted
#   $3  which directory of the hierarchy is mounted there
#   $4  systemd
#   $5  "namespaces": hide the machine behind namespaces (takes root)
#       "delegated": live in the delegated control group of this process, without namespaces
#
# Says "cgroup PATH" and "manager PID" on standard output.
set -u
directory=$1 mounted_at=$2 mounted=$3 systemd=$4 way=$5

own=$(sed -n 's/^0:://p' /proc/self/cgroup)
own=${own#"${mounted%/}"}
# A process that entered a container from outside is in a control group that cannot be named here.
case $own/ in /../*) own= ;; esac
base=$mounted_at${own%/}

if [ "$way" = delegated ]; then
    # Only a control group without processes of its own may hand controllers on.
    mkdir "$base/supervisor" && echo $$ >"$base/supervisor/cgroup.procs" || exit 1
    for controller in $(cat "$base/cgroup.controllers"); do
        echo "+$controller" >"$base/cgroup.subtree_control" || :
    done
fi

cgroup=$base/${directory##*/}

# Kills what is in the control group, until the kernel lets go of it. Killing takes a moment and
# nothing tells a shell when it is over; ten seconds are for a machine that swaps.
clean() {
    tries=0
    while [ -d "$cgroup" ] && [ "$tries" -lt 200 ]; do
        kill -9 $(find "$cgroup" -name cgroup.procs -exec cat {} + 2>/dev/null) 2>/dev/null
        find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null && break
        tries=$((tries + 1))
        sleep 0.05
    done
    # systemd makes directories that not even their owner may change.
    chmod -R u+rwX "$directory" 2>/dev/null
    rm -rf "$directory"
}

# Run by the process that is to become the manager.
manager() {
    echo 0 >"$cgroup/cgroup.procs" || exit 1
    set -- "$systemd" --user --unit=default.target \
        --log-target=journal --log-level=notice --default-standard-output=null
    if [ "$way" = delegated ]; then
        # There is no hiding the journal of the user.
        echo "what systemd itself said is in: journalctl --user" >&2
        exec "$@"
    fi
    exec unshare --mount --cgroup sh -euc '
        directory=$1 cgroup=$2
        shift 2
        # systemd wants to see that systemd booted the machine, which may not be so; and the
        # journal, devices and system bus of the machine are none of its business. Not even an
        # empty directory is made on the real /run.
        [ -d /run/systemd ] || mount -t tmpfs -o mode=755 tmpfs /run
        for hidden in /run/systemd /run/udev /run/dbus; do
            [ ! -d $hidden ] || mount -t tmpfs -o mode=755 tmpfs $hidden
        done
        mkdir -p /run/systemd/system /run/systemd/journal
        ln -s "$directory/journal" /run/systemd/journal/socket
        # The manager sees its own part only, where the namespace says that the hierarchy begins.
        # A new mount of cgroup2 would be refused where one is already.
        mount --bind "$cgroup" /sys/fs/cgroup
        cd /
        exec "$@"
    ' sh "$directory" "$cgroup" "$@"
}

# Caught, not ignored, because what is ignored stays so in every unit; the wait below then ends.
# The last one is for words that nobody is left to hear.
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
    # The manager ended by itself: that too is the end.
    kill -9 "$input" 2>/dev/null
) 3<&- &
exec >/dev/null
wait "$input"
status=$?
clean
exit "$status"
