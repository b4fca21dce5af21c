#!/usr/bin/env bash
# Shows what the kernel of a machine has for many connections, what would be wanted and why, and changes what is asked for.
#
#   tuning/tune.sh                     as check
#   tuning/tune.sh check [STEP...]     shows, changes nothing; ends with 1 when something is lower than wanted
#   tuning/tune.sh apply STEP...       makes these steps as root (`apply all`), until the machine starts again; says each value
#   tuning/tune.sh revert [STEP...]    puts back what apply found, of these steps or of all
#   tuning/tune.sh steps               lists the steps
#
# Steps: nofile port-range somaxconn backlog tcp-memory conntrack huge-pages rps governor
#   --conns N     connections that are wanted (100000)
#   --dry-run     apply and revert say what they would do, and do nothing
#
# A value that is better already stays. What apply changed is kept in /run/ringway-tuning (TUNING_STATE), which a restart empties, too.
set -euo pipefail

STEPS=(nofile port-range somaxconn backlog tcp-memory conntrack huge-pages rps governor)
# Where the kernel's files are; tests have others.
SYSTEM=${TUNING_SYSTEM:-}
STATE=${TUNING_STATE:-/run/ringway-tuning}
conns=100000
dry_run=no

usage() {
    sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

fail() {
    echo "tune.sh: $1" >&2
    exit 2
}

# --- What is wanted -------------------------------------------------------------------------------------------------

# Each line of a step: FILE, how it is compared, wanted value, why.
# min: a number that is to be at least that; range: first and last port; tcp: the second of three;
# word: the one in brackets, or never; mask: that set of cores; exact: that word.
wanted() {
    local files=$((conns + conns / 10 + 1024)) pages
    case $1 in
        nofile)
            echo "/proc/sys/fs/nr_open min $files what the limit of one process may be raised to: a file for each connection"
            echo "/proc/sys/fs/file-max min $((files * 2)) open files of the whole machine, with those of the other end if it is here"
            ;;
        port-range)
            echo "/proc/sys/net/ipv4/ip_local_port_range range 1024-65535 ports for connections that this machine opens; those that servers here listen on belong into ip_local_reserved_ports"
            ;;
        somaxconn)
            echo "/proc/sys/net/core/somaxconn min 4096 connections that wait to be accepted while many come at once"
            echo "/proc/sys/net/ipv4/tcp_max_syn_backlog min 4096 handshakes under way"
            ;;
        backlog)
            echo "/proc/sys/net/core/netdev_max_backlog min 4096 packets that wait for a core: less loses some of a burst"
            ;;
        tcp-memory)
            # 8 KiB for each end of a connection, both of them here, in pages.
            pages=$((conns * 2 * 8 / 4))
            echo "/proc/sys/net/ipv4/tcp_mem tcp $pages pages from which the kernel saves on sockets' memory"
            ;;
        conntrack)
            echo "/proc/sys/net/netfilter/nf_conntrack_max min $((conns + conns / 10 + 65536)) connections that the firewall remembers; further ones are refused"
            ;;
        huge-pages)
            echo "/sys/kernel/mm/transparent_hugepage/enabled word madvise huge pages only for who asks: else memory that is hardly used counts as used, and freeing it stalls"
            ;;
        rps)
            local card queues
            for card in "$SYSTEM"/sys/class/net/*; do
                # Virtual ones have no device.
                [[ -e $card/device ]] || continue
                queues=("$card"/queues/rx-*/rps_cpus)
                ((${#queues[@]} < $(nproc --all))) || continue
                printf "%s mask $(all_cpus) received packets go to all cores, since the card has fewer queues\n" "${queues[@]#"$SYSTEM"}"
            done
            ;;
        governor)
            local cpu
            for cpu in "$SYSTEM"/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor; do
                [[ -e $cpu ]] || continue
                echo "${cpu#"$SYSTEM"} exact performance cores that clock down answer their first messages late"
            done
            ;;
    esac
}

# A mask of all cores, in words of 32 as the kernel writes it.
all_cpus() {
    local cpus mask=
    cpus=$(nproc --all)
    while ((cpus >= 32)); do
        mask=",ffffffff$mask"
        cpus=$((cpus - 32))
    done
    printf '%x%s' $(((1 << cpus) - 1)) "$mask" | sed 's/^0,//'
}

# --- What there is --------------------------------------------------------------------------------------------------

# The value, as apply would write it; nothing where there is no such file.
value_of() {
    local path=$SYSTEM$1
    [[ -r $path ]] || return 0
    case $2 in
        word) sed 's/.*\[\(.*\)\].*/\1/' "$path" ;;
        *) tr '\t' ' ' <"$path" | tr -s ' ' ;;
    esac
}

# Whether value $2, compared as $1, is as good as $3.
is_enough() {
    local first second
    case $1 in
        min) ((${#2} > 18 || $2 >= $3)) ;;
        range)
            read -r first second <<<"$2"
            ((first <= ${3%-*} && second >= ${3#*-}))
            ;;
        tcp)
            read -r _ second _ <<<"$2"
            ((second >= $3))
            ;;
        word) [[ $2 == "$3" || $2 == never ]] ;;
        mask) [[ $(strip_zeros "$2") == "$(strip_zeros "$3")" ]] ;;
        exact) [[ $2 == "$3" ]] ;;
    esac
}

strip_zeros() {
    tr -d , <<<"$1" | sed 's/^0*//'
}

# What apply writes for wanted value $2, compared as $1.
to_write() {
    case $1 in
        range) echo "${2/-/ }" ;;
        tcp) echo "$(($2 / 4 * 3)) $2 $(($2 * 2))" ;;
        *) echo "$2" ;;
    esac
}

# --- Commands -------------------------------------------------------------------------------------------------------

check() {
    local step file how want why has mark low=0
    printf '%-11s %-48s %-24s %-24s\n' step file has wanted
    for step in "$@"; do
        while read -r file how want why; do
            has=$(value_of "$file" "$how")
            if [[ -z $has ]]; then
                printf '%-11s %-48s %s\n' "$step" "$file" "– (not on this machine)"
                continue
            fi
            mark=ok
            if ! is_enough "$how" "$has" "$want"; then
                mark=LOW
                low=$((low + 1))
            fi
            printf '%-11s %-48s %-24s %-24s %s\n' "$step" "$file" "$has" "$(to_write "$how" "$want")" "$mark"
            [[ $mark == ok ]] || printf '%-11s   %s\n' "" "$why"
        done < <(wanted "$step")
    done
    if [[ " $* " == *" nofile "* ]]; then
        printf '%-11s %-48s %-24s %-24s\n' nofile "of a process: ulimit -Hn here" "$(ulimit -Hn)" $((conns + conns / 10 + 1024))
        printf '%-11s   %s\n' "" "given by who starts it: LimitNOFILE= in a systemd unit, --ulimit for a container, limits.conf for a login"
    fi
    ((low == 0)) || {
        echo
        echo "$low lower than wanted. To change one, until the machine starts again: tuning/tune.sh apply STEP, as root"
        return 1
    }
}

put() {
    if [[ $dry_run == yes ]]; then
        echo "would set $1 to $2"
        return
    fi
    echo "$2" >"$SYSTEM$1" || fail "$1 cannot be set to $2 (as root? a container may not)"
    echo "set $1 to $2"
}

apply() {
    local step file how want _why has kept
    for step in "$@"; do
        while read -r file how want _why; do
            has=$(value_of "$file" "$how")
            [[ -n $has ]] || continue
            if is_enough "$how" "$has" "$want"; then
                echo "kept $file: $has"
                continue
            fi
            kept=$STATE/$step${file//\//+}
            if [[ $dry_run == no ]]; then
                # Nothing is to be remembered of what cannot be changed.
                [[ -w $SYSTEM$file ]] || fail "$file cannot be set (as root? a container may not)"
                mkdir -p "$STATE"
                # What an earlier apply found is what there was.
                [[ -e $kept ]] || echo "$has" >"$kept"
            fi
            put "$file" "$(to_write "$how" "$want")"
        done < <(wanted "$step")
    done
}

revert() {
    local step kept file
    for step in "$@"; do
        for kept in "$STATE/$step"+*; do
            [[ -e $kept ]] || continue
            file=${kept#"$STATE/$step"}
            put "${file//+//}" "$(cat "$kept")"
            [[ $dry_run == yes ]] || rm "$kept"
        done
    done
}

main() {
    local command='' asked=()
    while (($#)); do
        case $1 in
            --conns)
                [[ ${2:-} =~ ^[1-9][0-9]{0,7}$ ]] || fail "--conns wants a number"
                conns=$2
                shift
                ;;
            --dry-run) dry_run=yes ;;
            --help | -h) usage; exit 0 ;;
            check | apply | revert | steps)
                [[ -z $command ]] || fail "$command and $1: one at a time"
                command=$1
                ;;
            all) asked+=("${STEPS[@]}") ;;
            *)
                [[ " ${STEPS[*]} " == *" $1 "* ]] || fail "there is no step $1, only ${STEPS[*]}"
                asked+=("$1")
                ;;
        esac
        shift
    done
    case ${command:-check} in
        steps) printf '%s\n' "${STEPS[@]}" ;;
        check)
            ((${#asked[@]})) || asked=("${STEPS[@]}")
            check "${asked[@]}" ;;
        apply)
            ((${#asked[@]})) || fail "apply which step? ${STEPS[*]}, or all"
            apply "${asked[@]}"
            ;;
        revert)
            ((${#asked[@]})) || asked=("${STEPS[@]}")
            revert "${asked[@]}"
            ;;
    esac
}

main "$@"
