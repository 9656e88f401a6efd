#!/bin/sh
# SPDX-License-Identifier: MIT
# What is done on an experiment node, as root: facts of it, the agent's life, wires between its NICs and the agent's
# networks, and undoing all that. Each network has a folder STORE/live/ID with what was made for it (the only things
# that are ever undone):
#   pid     "PID STARTTIME" of this script, which lives as long as the agent
#   agent   pid of the agent
#   in      a pipe to it
#   nics    one line per NIC: "NAME up|down GRO LRO WIRE", as it was before, and the wire that was made for it
# usage: node.sh facts STORE USER look|make MAC... | serve STORE ID OWNER TAKE AGENT | wire STORE ID INNER:NIC:MTU... | clean STORE
set -eu
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL

start_time() { # of a process, in clock ticks since boot; nothing where it is gone
    sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20
}

nic_of_mac() {
    for nic in /sys/class/net/*; do
        [ -f "$nic/address" ] || continue
        read -r mac <"$nic/address"
        [ "$mac" = "$1" ] || continue
        # A NIC, and no VLAN, bond, bridge or macvlan that has taken over its address: those stand on lower ones.
        set -- "$1" "$nic"/lower_*
        [ -e "$nic/bridge" ] || [ -e "$2" ] || { echo "${nic##*/}"; return; }
    done
}

facts() { # what there is; only `make` changes anything: it makes the store's folder
    store=$1 user=$2 how=$3
    shift 3
    echo "release $(uname -r)"
    echo "machine $(uname -m)"
    echo "uid $(id -u)"
    while read -r key value _; do
        case $key in
            HugePages_Total:) echo "huge_total $value" ;;
            HugePages_Free:) echo "huge_free $value" ;;
            Hugepagesize:) echo "huge_kib $value" ;;
        esac
    done </proc/meminfo
    for tool in ip tc ethtool nsenter ps; do
        command -v "$tool" >/dev/null 2>&1 || echo "lacks $tool"
    done
    if command -v pkg-config >/dev/null 2>&1 && version=$(pkg-config --modversion libdpdk 2>/dev/null); then
        echo "dpdk $version"
    fi
    # shellcheck disable=SC2012  # only to know whether there is one
    echo "iommu_groups $(ls /sys/kernel/iommu_groups 2>/dev/null | wc -l)"
    # SFTP works as the user, and has no sudo.
    [ "$how" = look ] || install -d -m 755 -o "$user" "$store" "$store/incoming"
    place=$store
    [ -d "$place" ] || place=${store%/*}
    echo "free_bytes $(df -P -B1 "$place" | awk 'NR == 2 { print $4 }')"
    for mac in "$@"; do
        nic=$(nic_of_mac "$mac")
        [ -n "$nic" ] || continue
        driver=$(basename "$(readlink "/sys/class/net/$nic/device/driver" 2>/dev/null || echo none)")
        vendor=$(cat "/sys/class/net/$nic/device/vendor" 2>/dev/null || echo none)
        device=$(cat "/sys/class/net/$nic/device/device" 2>/dev/null || echo none)
        mtu=$(cat "/sys/class/net/$nic/mtu")
        echo "nic $mac $nic $driver $vendor $device $mtu $(cat "/sys/class/net/$nic/operstate")"
    done
    [ ! -d "$store" ] || find "$store" -maxdepth 1 -type f -name '????????????????????????????????*' -exec sha256sum {} + |
        while read -r sum file; do # a file is named by its bytes, or it is damaged
            name=${file##*/}
            if [ "$sum" = "$name" ]; then echo "has $name $(stat -c %s "$file")"; else echo "broken $name"; fi
        done
    for live in "$store"/live/*; do
        [ -d "$live" ] && alive "$live" && echo "live ${live##*/} $(cat "$live/owner")"
    done
    echo "end facts"
}

alive() {
    [ -f "$1/pid" ] && read -r pid started <"$1/pid" && [ -n "$started" ] && [ "$(start_time "$pid")" = "$started" ]
}

undo() { # of the network in folder $1; the agent's own things have vanished with it
    [ -f "$1/nics" ] && while read -r nic state gro lro wire; do
        ip link del dev "$wire" 2>/dev/null || true # its other end lives in the agent's network
        [ -e "/sys/class/net/$nic" ] || continue
        tc qdisc del dev "$nic" clsact 2>/dev/null || true
        [ "$gro" = on ] && ethtool -K "$nic" gro on 2>/dev/null
        [ "$lro" = on ] && ethtool -K "$nic" lro on 2>/dev/null
        [ "$state" = down ] && ip link set dev "$nic" down
    done <"$1/nics"
    rm -rf "$1"
}

end_agent() { # of the network in folder $1, where its parent is still $2
    read -r agent_pid <"$1/agent" || return 0
    [ "$(ps -o ppid= -p "$agent_pid" | tr -d ' ')" != "$2" ] || kill -KILL "$agent_pid"
}

end_live() { # end the script of a network, and with it its agent and all that runs there; then undo
    if alive "$1"; then
        read -r pid started <"$1/pid"
        end_agent "$1" "$pid" || true
        tries=0
        while alive "$1" && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
        alive "$1" && kill -KILL "$pid"
    fi
    [ -d "$1" ] && undo "$1"
    return 0
}

serve() { # the agent itself: its program is STORE/$5; what runs here is ended first: TAKE all, mine or none of it
    store=$1 id=$2 owner=$3 take=$4 agent=$5
    mkdir -p "$store/live"
    for other in "$store"/live/*; do
        [ -d "$other" ] || continue
        whose=$(cat "$other/owner" 2>/dev/null || true)
        if alive "$other"; then
            if [ "$whose" != "$owner" ] && [ "$take" != all ]; then
                echo "in use by $whose" >&2
                exit 75
            fi
            [ "$whose" = "$owner" ] && [ "$take" = none ] && continue
        fi
        end_live "$other"
    done
    live=$store/live/$id
    mkdir "$live"
    echo "$owner" >"$live/owner"
    echo "$$ $(start_time $$)" >"$live/pid"
    # The agent ends with its stdin, and this script after it. Not ignored: that would be inherited by all in the nodes.
    trap : HUP INT TERM PIPE
    mkfifo "$live/in"
    exec 3<&0
    # An agent ends with its channel, but not in the middle of a request that takes its time: then it is ended.
    {
        cat
        exec >/dev/null
        tries=0
        while kill -0 "$(cat "$live/agent")" && [ $tries -lt 20 ]; do sleep 0.1; tries=$((tries + 1)); done
        end_agent "$live" $$
    } <&3 >"$live/in" 2>/dev/null &
    exec 3<&-
    status=0
    # shellcheck disable=SC2016  # for the inner shell, which becomes the agent
    sh -c 'echo $$ >"$0/agent" && exec "$1" netns --stdio' "$live" "$store/$agent" <"$live/in" || status=$?
    undo "$live"
    exit "$status"
}

wire() { # join NICs to bridges of the agent's network: INNER is a process of the bridge's node, as the agent counts pids
    store=$1 id=$2
    shift 2
    live=$store/live/$id
    read -r script _ <"$live/pid"
    read -r outer <"$live/agent"
    first=$(ps -o pid= --ppid "$outer" | tr -d ' ')
    number=0
    for word in "$@"; do
        inner=${word%%:*} rest=${word#*:}
        nic=${rest%%:*} mtu=${rest#*:}
        process=
        for child in $(ps -o pid= --ppid "$first"); do
            [ "$(awk '$1 == "NSpid:" { print $NF }' "/proc/$child/status" 2>/dev/null)" = "$inner" ] && process=$child
        done
        [ -n "$process" ] || { echo "no process $inner in the network $id" >&2; exit 1; }
        [ "$(cat "/sys/class/net/$nic/mtu")" -ge "$mtu" ] || { echo "mtu $nic: wanted $mtu, found $(cat "/sys/class/net/$nic/mtu")" >&2; exit 77; }
        if tc qdisc show dev "$nic" | grep -qE ' (clsact|ingress) '; then
            echo "busy $nic: it has filters of somebody else (clsact or ingress)" >&2
            exit 77
        fi
        state=up
        [ $(($(cat "/sys/class/net/$nic/flags") & 1)) -eq 1 ] || state=down
        features=$(ethtool -k "$nic" 2>/dev/null || true)
        gro=$(echo "$features" | awk '$1 == "generic-receive-offload:" { print $2 }')
        lro=$(echo "$features" | awk '$1 == "large-receive-offload:" { print $2 }')
        wire="tb$((script % 100000)).$number"
        echo "$nic $state ${gro:--} ${lro:--} $wire" >>"$live/nics"
        # Frames are to pass as they were on the wire.
        [ "$gro" = on ] && { ethtool -K "$nic" gro off || true; }
        [ "$lro" = on ] && { ethtool -K "$nic" lro off || true; }
        ip link add name "$wire" mtu "$mtu" type veth peer name outside mtu "$mtu" netns "$process"
        ip link set dev "$wire" addrgenmode none up
        nsenter -t "$process" -n ip link set dev outside addrgenmode none master br0 up
        [ "$state" = up ] || ip link set dev "$nic" up
        tc qdisc add dev "$nic" clsact
        tc qdisc add dev "$wire" clsact
        tc filter add dev "$wire" ingress protocol all u32 match u32 0 0 action mirred egress redirect dev "$nic"
        tc filter add dev "$nic" ingress protocol all u32 match u32 0 0 action mirred egress redirect dev "$wire"
        number=$((number + 1))
    done
}

clean() { # all that testbed has ever left here
    for live in "$1"/live/*; do
        [ -d "$live" ] && end_live "$live"
    done
    rm -rf "$1"
}

command=$1
shift
"$command" "$@"
