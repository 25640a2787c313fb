_unitwatch() {
    local i cur prev opts cmd
    COMPREPLY=()
    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
        cur="$2"
    else
        cur="${COMP_WORDS[COMP_CWORD]}"
    fi
    prev="$3"
    cmd=""
    opts=""

    for i in "${COMP_WORDS[@]:0:COMP_CWORD}"
    do
        case "${cmd},${i}" in
            ",$1")
                cmd="unitwatch"
                ;;
            unitwatch,demo)
                cmd="unitwatch__subcmd__demo"
                ;;
            unitwatch,help)
                cmd="unitwatch__subcmd__help"
                ;;
            unitwatch,series)
                cmd="unitwatch__subcmd__series"
                ;;
            unitwatch,unit-file)
                cmd="unitwatch__subcmd__unit__subcmd__file"
                ;;
            unitwatch__subcmd__help,demo)
                cmd="unitwatch__subcmd__help__subcmd__demo"
                ;;
            unitwatch__subcmd__help,help)
                cmd="unitwatch__subcmd__help__subcmd__help"
                ;;
            unitwatch__subcmd__help,series)
                cmd="unitwatch__subcmd__help__subcmd__series"
                ;;
            unitwatch__subcmd__help,unit-file)
                cmd="unitwatch__subcmd__help__subcmd__unit__subcmd__file"
                ;;
            *)
                ;;
        esac
    done

    case "${cmd}" in
        unitwatch)
            opts="-h -V --systemd.collector.unit-include --systemd.collector.unit-exclude --systemd.collector.unit-type --systemd.collector.slice --systemd.collector.sum --systemd.collector.unit-state --systemd.collector.private --systemd.collector.user --systemd.collector.enable-restart-count --systemd.collector.enable-ip-accounting --systemd.collector.reconcile-interval --retention --max-series --compat --web.listen-address --web.telemetry-path --web.max-requests --web.disable-exporter-metrics --log.level --log.format --collector.unit-state --collector.unit-sub-state --collector.unit-info --collector.unit-times --collector.unit-events --collector.unit-problems --collector.unit-file-state --collector.service-exits --collector.tasks --collector.cpu --collector.memory --collector.io --collector.pressure --collector.ip --collector.sockets --collector.timers --collector.jobs --collector.boot --collector.watchdog --collector.node-exporter --help --version demo series unit-file help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 1 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --systemd.collector.unit-include)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.unit-exclude)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.unit-type)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.slice)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.sum)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.unit-state)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.private)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.user)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.enable-restart-count)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.enable-ip-accounting)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.reconcile-interval)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --retention)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --max-series)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --compat)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.listen-address)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.telemetry-path)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.max-requests)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.disable-exporter-metrics)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --log.level)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --log.format)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-state)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-sub-state)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-info)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-times)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-events)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-problems)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-file-state)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.service-exits)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.tasks)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.cpu)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.memory)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.io)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.pressure)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.ip)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.sockets)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.timers)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.jobs)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.boot)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.watchdog)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.node-exporter)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        unitwatch__subcmd__demo)
            opts="-h --systemd.collector.unit-include --systemd.collector.unit-exclude --systemd.collector.unit-type --systemd.collector.slice --systemd.collector.sum --systemd.collector.unit-state --systemd.collector.private --systemd.collector.user --systemd.collector.enable-restart-count --systemd.collector.enable-ip-accounting --systemd.collector.reconcile-interval --retention --max-series --compat --web.listen-address --web.telemetry-path --web.max-requests --web.disable-exporter-metrics --log.level --log.format --collector.unit-state --collector.unit-sub-state --collector.unit-info --collector.unit-times --collector.unit-events --collector.unit-problems --collector.unit-file-state --collector.service-exits --collector.tasks --collector.cpu --collector.memory --collector.io --collector.pressure --collector.ip --collector.sockets --collector.timers --collector.jobs --collector.boot --collector.watchdog --collector.node-exporter --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --systemd.collector.unit-include)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.unit-exclude)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.unit-type)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.slice)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.sum)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.unit-state)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.private)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.user)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.enable-restart-count)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.enable-ip-accounting)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.reconcile-interval)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --retention)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --max-series)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --compat)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.listen-address)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.telemetry-path)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.max-requests)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.disable-exporter-metrics)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --log.level)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --log.format)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-state)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-sub-state)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-info)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-times)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-events)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-problems)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-file-state)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.service-exits)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.tasks)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.cpu)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.memory)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.io)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.pressure)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.ip)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.sockets)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.timers)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.jobs)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.boot)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.watchdog)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.node-exporter)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        unitwatch__subcmd__help)
            opts="demo series unit-file help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        unitwatch__subcmd__help__subcmd__demo)
            opts=""
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        unitwatch__subcmd__help__subcmd__help)
            opts=""
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        unitwatch__subcmd__help__subcmd__series)
            opts=""
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        unitwatch__subcmd__help__subcmd__unit__subcmd__file)
            opts=""
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        unitwatch__subcmd__series)
            opts="-h --systemd.collector.unit-include --systemd.collector.unit-exclude --systemd.collector.unit-type --systemd.collector.slice --systemd.collector.sum --systemd.collector.unit-state --systemd.collector.private --systemd.collector.user --systemd.collector.enable-restart-count --systemd.collector.enable-ip-accounting --systemd.collector.reconcile-interval --retention --max-series --compat --web.listen-address --web.telemetry-path --web.max-requests --web.disable-exporter-metrics --log.level --log.format --collector.unit-state --collector.unit-sub-state --collector.unit-info --collector.unit-times --collector.unit-events --collector.unit-problems --collector.unit-file-state --collector.service-exits --collector.tasks --collector.cpu --collector.memory --collector.io --collector.pressure --collector.ip --collector.sockets --collector.timers --collector.jobs --collector.boot --collector.watchdog --collector.node-exporter --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --systemd.collector.unit-include)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.unit-exclude)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.unit-type)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.slice)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.sum)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.unit-state)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.private)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.user)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.enable-restart-count)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.enable-ip-accounting)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.reconcile-interval)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --retention)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --max-series)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --compat)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.listen-address)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.telemetry-path)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.max-requests)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.disable-exporter-metrics)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --log.level)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --log.format)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-state)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-sub-state)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-info)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-times)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-events)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-problems)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-file-state)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.service-exits)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.tasks)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.cpu)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.memory)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.io)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.pressure)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.ip)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.sockets)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.timers)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.jobs)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.boot)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.watchdog)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.node-exporter)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        unitwatch__subcmd__unit__subcmd__file)
            opts="-h --systemd.collector.unit-include --systemd.collector.unit-exclude --systemd.collector.unit-type --systemd.collector.slice --systemd.collector.sum --systemd.collector.unit-state --systemd.collector.private --systemd.collector.user --systemd.collector.enable-restart-count --systemd.collector.enable-ip-accounting --systemd.collector.reconcile-interval --retention --max-series --compat --web.listen-address --web.telemetry-path --web.max-requests --web.disable-exporter-metrics --log.level --log.format --collector.unit-state --collector.unit-sub-state --collector.unit-info --collector.unit-times --collector.unit-events --collector.unit-problems --collector.unit-file-state --collector.service-exits --collector.tasks --collector.cpu --collector.memory --collector.io --collector.pressure --collector.ip --collector.sockets --collector.timers --collector.jobs --collector.boot --collector.watchdog --collector.node-exporter --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --systemd.collector.unit-include)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.unit-exclude)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.unit-type)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.slice)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.sum)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.unit-state)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.private)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.user)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.enable-restart-count)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.enable-ip-accounting)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --systemd.collector.reconcile-interval)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --retention)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --max-series)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --compat)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.listen-address)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.telemetry-path)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.max-requests)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.disable-exporter-metrics)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --log.level)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --log.format)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-state)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-sub-state)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-info)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-times)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-events)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-problems)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.unit-file-state)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.service-exits)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.tasks)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.cpu)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.memory)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.io)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.pressure)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.ip)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.sockets)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.timers)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.jobs)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.boot)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.watchdog)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.node-exporter)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
    esac
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _unitwatch -o nosort -o bashdefault -o default unitwatch
else
    complete -F _unitwatch -o bashdefault -o default unitwatch
fi
