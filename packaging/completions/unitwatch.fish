# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_unitwatch_global_optspecs
    string join \n systemd.collector.unit-include= systemd.collector.unit-exclude= systemd.collector.unit-type= systemd.collector.slice= systemd.collector.sum= systemd.collector.unit-state= systemd.collector.private= systemd.collector.user= systemd.collector.enable-restart-count= systemd.collector.enable-ip-accounting= systemd.collector.reconcile-interval= retention= max-series= compat= web.listen-address= web.telemetry-path= web.max-requests= web.disable-exporter-metrics= log.level= log.format= collector.unit-state= collector.unit-sub-state= collector.unit-info= collector.unit-times= collector.unit-events= collector.unit-problems= collector.unit-file-state= collector.service-exits= collector.tasks= collector.cpu= collector.memory= collector.io= collector.pressure= collector.ip= collector.sockets= collector.timers= collector.jobs= collector.boot= collector.watchdog= collector.node-exporter= h/help V/version
end

function __fish_unitwatch_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_unitwatch_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_unitwatch_using_subcommand
    set -l cmd (__fish_unitwatch_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c unitwatch -n "__fish_unitwatch_needs_command" -l systemd.collector.unit-include -d 'Units to serve, as a regular expression for the whole name' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l systemd.collector.unit-exclude -d 'Units to leave out, as a regular expression for the whole name; empty for none' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l systemd.collector.unit-type -d 'Unit types to serve, such as service,socket; repeatable' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l systemd.collector.slice -d 'Slices whose units to serve, such as system.slice,user.slice; repeatable' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l systemd.collector.sum -d 'Roll-ups to serve instead of their units: instances, scopes or both; repeatable' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l systemd.collector.unit-state -d 'State series of each unit: stateset (one for each usual state) or current (only one, for its current state)' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l systemd.collector.private -d 'Connect to systemd\'s private socket, without a D-Bus daemon' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l systemd.collector.user -d 'Watch the service manager of the user that runs unitwatch, not the system\'s' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l systemd.collector.enable-restart-count -d 'No effect, accepted for compatibility with systemd_exporter; see --collector.unit-events' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l systemd.collector.enable-ip-accounting -d 'No effect, accepted for compatibility with systemd_exporter; see --collector.ip' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l systemd.collector.reconcile-interval -d 'Interval between reconciles, 1s to 24h' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l retention -d 'How long to serve the counters of a gone unit, 0s to 24h' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l max-series -d 'Maximum number of series of one metric; 0 for no limit' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l compat -d 'Other exporter whose metrics to serve too: node_exporter; repeatable' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l web.listen-address -d 'Address to listen on; repeatable' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l web.telemetry-path -d 'Path of the metrics' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l web.max-requests -d 'Maximum number of scrapes at the same time; 0 for no limit' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l web.disable-exporter-metrics -d 'Leave out process_* and most of systemd_exporter_*' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l log.level -d 'Minimum log level: debug, info, warn or error' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l log.format -d 'Log format: logfmt or json' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l collector.unit-state -d 'State of each unit, and services that wait for their automatic restart' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l collector.unit-sub-state -d 'State of each unit as its type names it, such as running or mounted' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l collector.unit-info -d 'Type of each service and file system of each mount' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l collector.unit-times -d 'Times of each unit\'s last state changes, duration of its last start, and start of each service' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l collector.unit-events -d 'Transitions, starts, failures, failed reloads and automatic restarts of each unit' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l collector.unit-problems -d 'Units that could not be loaded, are wanted but inactive, changed on disk, or are frozen' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l collector.unit-file-state -d 'State of each unit file, such as enabled, static or masked' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l collector.service-exits -d 'Last result, exit status and exit time of each service' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l collector.tasks -d 'Tasks in the control group of each unit, and the limit of each service' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l collector.cpu -d 'CPU time and throttling of each unit' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l collector.memory -d 'Memory use, limits and memory events of each unit' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l collector.io -d 'Bytes and operations of each unit on block devices' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l collector.pressure -d 'Time that each unit waited for CPU, memory and I/O' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l collector.ip -d 'IP traffic of services with IPAccounting=yes' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l collector.sockets -d 'Connections of each socket' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l collector.timers -d 'Last and next elapse of each timer, and timers that will not elapse again' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l collector.jobs -d 'Job queue, and results and durations of jobs' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l collector.boot -d 'Times of the boot stages and durations of the boot phases' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l collector.watchdog -d 'Hardware watchdog of the manager, and last watchdog pings of services' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -l collector.node-exporter -d 'Metrics of node_exporter\'s systemd collector under its names, as with --compat=node_exporter' -r
complete -c unitwatch -n "__fish_unitwatch_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitwatch -n "__fish_unitwatch_needs_command" -s V -l version -d 'Print version'
complete -c unitwatch -n "__fish_unitwatch_needs_command" -f -a "demo" -d 'Start a private systemd with sample units and serve its metrics'
complete -c unitwatch -n "__fish_unitwatch_needs_command" -f -a "series" -d 'Count the series of this machine, with everything and with the given flags'
complete -c unitwatch -n "__fish_unitwatch_needs_command" -f -a "unit-file" -d 'Print a sandboxed, unprivileged systemd unit that runs this program'
complete -c unitwatch -n "__fish_unitwatch_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l systemd.collector.unit-include -d 'Units to serve, as a regular expression for the whole name' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l systemd.collector.unit-exclude -d 'Units to leave out, as a regular expression for the whole name; empty for none' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l systemd.collector.unit-type -d 'Unit types to serve, such as service,socket; repeatable' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l systemd.collector.slice -d 'Slices whose units to serve, such as system.slice,user.slice; repeatable' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l systemd.collector.sum -d 'Roll-ups to serve instead of their units: instances, scopes or both; repeatable' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l systemd.collector.unit-state -d 'State series of each unit: stateset (one for each usual state) or current (only one, for its current state)' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l systemd.collector.private -d 'Connect to systemd\'s private socket, without a D-Bus daemon' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l systemd.collector.user -d 'Watch the service manager of the user that runs unitwatch, not the system\'s' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l systemd.collector.enable-restart-count -d 'No effect, accepted for compatibility with systemd_exporter; see --collector.unit-events' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l systemd.collector.enable-ip-accounting -d 'No effect, accepted for compatibility with systemd_exporter; see --collector.ip' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l systemd.collector.reconcile-interval -d 'Interval between reconciles, 1s to 24h' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l retention -d 'How long to serve the counters of a gone unit, 0s to 24h' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l max-series -d 'Maximum number of series of one metric; 0 for no limit' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l compat -d 'Other exporter whose metrics to serve too: node_exporter; repeatable' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l web.listen-address -d 'Address to listen on; repeatable' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l web.telemetry-path -d 'Path of the metrics' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l web.max-requests -d 'Maximum number of scrapes at the same time; 0 for no limit' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l web.disable-exporter-metrics -d 'Leave out process_* and most of systemd_exporter_*' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l log.level -d 'Minimum log level: debug, info, warn or error' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l log.format -d 'Log format: logfmt or json' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l collector.unit-state -d 'State of each unit, and services that wait for their automatic restart' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l collector.unit-sub-state -d 'State of each unit as its type names it, such as running or mounted' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l collector.unit-info -d 'Type of each service and file system of each mount' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l collector.unit-times -d 'Times of each unit\'s last state changes, duration of its last start, and start of each service' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l collector.unit-events -d 'Transitions, starts, failures, failed reloads and automatic restarts of each unit' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l collector.unit-problems -d 'Units that could not be loaded, are wanted but inactive, changed on disk, or are frozen' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l collector.unit-file-state -d 'State of each unit file, such as enabled, static or masked' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l collector.service-exits -d 'Last result, exit status and exit time of each service' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l collector.tasks -d 'Tasks in the control group of each unit, and the limit of each service' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l collector.cpu -d 'CPU time and throttling of each unit' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l collector.memory -d 'Memory use, limits and memory events of each unit' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l collector.io -d 'Bytes and operations of each unit on block devices' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l collector.pressure -d 'Time that each unit waited for CPU, memory and I/O' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l collector.ip -d 'IP traffic of services with IPAccounting=yes' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l collector.sockets -d 'Connections of each socket' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l collector.timers -d 'Last and next elapse of each timer, and timers that will not elapse again' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l collector.jobs -d 'Job queue, and results and durations of jobs' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l collector.boot -d 'Times of the boot stages and durations of the boot phases' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l collector.watchdog -d 'Hardware watchdog of the manager, and last watchdog pings of services' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -l collector.node-exporter -d 'Metrics of node_exporter\'s systemd collector under its names, as with --compat=node_exporter' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l systemd.collector.unit-include -d 'Units to serve, as a regular expression for the whole name' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l systemd.collector.unit-exclude -d 'Units to leave out, as a regular expression for the whole name; empty for none' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l systemd.collector.unit-type -d 'Unit types to serve, such as service,socket; repeatable' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l systemd.collector.slice -d 'Slices whose units to serve, such as system.slice,user.slice; repeatable' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l systemd.collector.sum -d 'Roll-ups to serve instead of their units: instances, scopes or both; repeatable' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l systemd.collector.unit-state -d 'State series of each unit: stateset (one for each usual state) or current (only one, for its current state)' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l systemd.collector.private -d 'Connect to systemd\'s private socket, without a D-Bus daemon' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l systemd.collector.user -d 'Watch the service manager of the user that runs unitwatch, not the system\'s' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l systemd.collector.enable-restart-count -d 'No effect, accepted for compatibility with systemd_exporter; see --collector.unit-events' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l systemd.collector.enable-ip-accounting -d 'No effect, accepted for compatibility with systemd_exporter; see --collector.ip' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l systemd.collector.reconcile-interval -d 'Interval between reconciles, 1s to 24h' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l retention -d 'How long to serve the counters of a gone unit, 0s to 24h' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l max-series -d 'Maximum number of series of one metric; 0 for no limit' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l compat -d 'Other exporter whose metrics to serve too: node_exporter; repeatable' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l web.listen-address -d 'Address to listen on; repeatable' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l web.telemetry-path -d 'Path of the metrics' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l web.max-requests -d 'Maximum number of scrapes at the same time; 0 for no limit' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l web.disable-exporter-metrics -d 'Leave out process_* and most of systemd_exporter_*' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l log.level -d 'Minimum log level: debug, info, warn or error' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l log.format -d 'Log format: logfmt or json' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l collector.unit-state -d 'State of each unit, and services that wait for their automatic restart' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l collector.unit-sub-state -d 'State of each unit as its type names it, such as running or mounted' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l collector.unit-info -d 'Type of each service and file system of each mount' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l collector.unit-times -d 'Times of each unit\'s last state changes, duration of its last start, and start of each service' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l collector.unit-events -d 'Transitions, starts, failures, failed reloads and automatic restarts of each unit' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l collector.unit-problems -d 'Units that could not be loaded, are wanted but inactive, changed on disk, or are frozen' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l collector.unit-file-state -d 'State of each unit file, such as enabled, static or masked' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l collector.service-exits -d 'Last result, exit status and exit time of each service' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l collector.tasks -d 'Tasks in the control group of each unit, and the limit of each service' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l collector.cpu -d 'CPU time and throttling of each unit' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l collector.memory -d 'Memory use, limits and memory events of each unit' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l collector.io -d 'Bytes and operations of each unit on block devices' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l collector.pressure -d 'Time that each unit waited for CPU, memory and I/O' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l collector.ip -d 'IP traffic of services with IPAccounting=yes' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l collector.sockets -d 'Connections of each socket' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l collector.timers -d 'Last and next elapse of each timer, and timers that will not elapse again' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l collector.jobs -d 'Job queue, and results and durations of jobs' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l collector.boot -d 'Times of the boot stages and durations of the boot phases' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l collector.watchdog -d 'Hardware watchdog of the manager, and last watchdog pings of services' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -l collector.node-exporter -d 'Metrics of node_exporter\'s systemd collector under its names, as with --compat=node_exporter' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand series" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l systemd.collector.unit-include -d 'Units to serve, as a regular expression for the whole name' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l systemd.collector.unit-exclude -d 'Units to leave out, as a regular expression for the whole name; empty for none' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l systemd.collector.unit-type -d 'Unit types to serve, such as service,socket; repeatable' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l systemd.collector.slice -d 'Slices whose units to serve, such as system.slice,user.slice; repeatable' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l systemd.collector.sum -d 'Roll-ups to serve instead of their units: instances, scopes or both; repeatable' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l systemd.collector.unit-state -d 'State series of each unit: stateset (one for each usual state) or current (only one, for its current state)' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l systemd.collector.private -d 'Connect to systemd\'s private socket, without a D-Bus daemon' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l systemd.collector.user -d 'Watch the service manager of the user that runs unitwatch, not the system\'s' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l systemd.collector.enable-restart-count -d 'No effect, accepted for compatibility with systemd_exporter; see --collector.unit-events' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l systemd.collector.enable-ip-accounting -d 'No effect, accepted for compatibility with systemd_exporter; see --collector.ip' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l systemd.collector.reconcile-interval -d 'Interval between reconciles, 1s to 24h' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l retention -d 'How long to serve the counters of a gone unit, 0s to 24h' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l max-series -d 'Maximum number of series of one metric; 0 for no limit' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l compat -d 'Other exporter whose metrics to serve too: node_exporter; repeatable' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l web.listen-address -d 'Address to listen on; repeatable' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l web.telemetry-path -d 'Path of the metrics' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l web.max-requests -d 'Maximum number of scrapes at the same time; 0 for no limit' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l web.disable-exporter-metrics -d 'Leave out process_* and most of systemd_exporter_*' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l log.level -d 'Minimum log level: debug, info, warn or error' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l log.format -d 'Log format: logfmt or json' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l collector.unit-state -d 'State of each unit, and services that wait for their automatic restart' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l collector.unit-sub-state -d 'State of each unit as its type names it, such as running or mounted' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l collector.unit-info -d 'Type of each service and file system of each mount' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l collector.unit-times -d 'Times of each unit\'s last state changes, duration of its last start, and start of each service' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l collector.unit-events -d 'Transitions, starts, failures, failed reloads and automatic restarts of each unit' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l collector.unit-problems -d 'Units that could not be loaded, are wanted but inactive, changed on disk, or are frozen' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l collector.unit-file-state -d 'State of each unit file, such as enabled, static or masked' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l collector.service-exits -d 'Last result, exit status and exit time of each service' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l collector.tasks -d 'Tasks in the control group of each unit, and the limit of each service' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l collector.cpu -d 'CPU time and throttling of each unit' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l collector.memory -d 'Memory use, limits and memory events of each unit' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l collector.io -d 'Bytes and operations of each unit on block devices' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l collector.pressure -d 'Time that each unit waited for CPU, memory and I/O' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l collector.ip -d 'IP traffic of services with IPAccounting=yes' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l collector.sockets -d 'Connections of each socket' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l collector.timers -d 'Last and next elapse of each timer, and timers that will not elapse again' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l collector.jobs -d 'Job queue, and results and durations of jobs' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l collector.boot -d 'Times of the boot stages and durations of the boot phases' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l collector.watchdog -d 'Hardware watchdog of the manager, and last watchdog pings of services' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -l collector.node-exporter -d 'Metrics of node_exporter\'s systemd collector under its names, as with --compat=node_exporter' -r
complete -c unitwatch -n "__fish_unitwatch_using_subcommand unit-file" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitwatch -n "__fish_unitwatch_using_subcommand help; and not __fish_seen_subcommand_from demo series unit-file help" -f -a "demo" -d 'Start a private systemd with sample units and serve its metrics'
complete -c unitwatch -n "__fish_unitwatch_using_subcommand help; and not __fish_seen_subcommand_from demo series unit-file help" -f -a "series" -d 'Count the series of this machine, with everything and with the given flags'
complete -c unitwatch -n "__fish_unitwatch_using_subcommand help; and not __fish_seen_subcommand_from demo series unit-file help" -f -a "unit-file" -d 'Print a sandboxed, unprivileged systemd unit that runs this program'
complete -c unitwatch -n "__fish_unitwatch_using_subcommand help; and not __fish_seen_subcommand_from demo series unit-file help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
