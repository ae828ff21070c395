#!/usr/bin/env bash
# `imsreg check` over sockets, as far as no timer has to pass. On loopback: every case against `imsreg serve`, with a security
# agreement and without, and every case against `imsreg register`, many side by side, over TCP and over UDP. Between two
# network namespaces with plane userspace: every case against `imsreg serve`, and cases against `imsreg register`. Who waits for
# timers leaves the processor to others, so two runs at a time share it.
set -u
. "$(dirname "$0")/lib.sh"
work=$(mktemp -d "$target/check.XXXXXX")
core=chk-p-$$ phones=chk-u-$$ spaces=
own=$imsreg pids=()
# stop_all: the networks on loopback end, by their ids.
stop_all() {
    for imsreg_pid in "${pids[@]}"; do stop_imsreg; done
    pids=() imsreg_pid=
}
finish() {
    stop_imsreg
    stop_all
    [ -z "$spaces" ] || { ip netns del $core; ip netns del $phones; }
    rm -rf "$work"
}
trap finish EXIT
cd "$root" || exit 1
status=0
# wrong REPORT: the cases that failed or that it does not judge.
wrong() { grep -E '"verdict":"(failed|not-observable|not-judged)"' "$1" | grep -o '"id":"[^"]*"' | cut -d'"' -f4 | sort -u; }
# ok REPORT: nothing failed with severity error, and each case that it does not judge is left out with a reason.
ok() { tail -1 "$1" | grep -q '"ok":true' && ! grep -qE '"verdict":"(not-observable|not-judged)"' "$1"; }
# judged WHAT LEAST: the run WHAT passed, so many cases with it. All that was left out is said, with its reason. A case or two
# that a machine may have spoilt by standing still is played twice more by itself, and must pass both times; it is told of.
judged() {
    local report="$work/$1" passed again
    passed=$(tail -1 "$report" | grep -o '"passed":[0-9]*' | head -1 | cut -d: -f2)
    again=$(wrong "$report" | paste -sd,)
    if ! ok "$report" && [ "$(wrong "$report" | wc -l)" -le 2 ] && [ -n "$again" ]; then
        "$1" --fast --json --repeat 2 --only "$again" >"$report.again" 2>"$report.errors"
        echo "$1: played again: $again: $(tail -1 "$report.again" | cut -c1-200); what was seen at first:"
        grep -E '"verdict":"(failed|not-observable|not-judged)"' "$report" | cut -c1-1500
        ok "$report.again" && report=$report.again
    fi
    if ok "$report" && [ "${passed:-0}" -ge "$2" ]; then
        passed 1
        echo "$1: $passed cases passed, none failed with severity error; left out:"
        grep '"verdict":"not-applicable"' "$work/$1" | grep -o '"why":"[^"]*"' | sort | uniq -c | sed 's/"why":/ /'
    else
        failure "check: $1: $(wrong "$report" | head -5 | tr '\n' ' ') $(tail -1 "$report.errors")"
        status=1
    fi
}
# checked WHAT FLAG ..: the run WHAT, a function, with its report to $work/WHAT.
checked() {
    local begun=$SECONDS
    "$1" --fast --json "${@:2}" >"$work/$1" 2>"$work/$1.errors"
    echo "$1: $((SECONDS - begun)) s"
}
subscribers=(--subscriber hss-data/lab.yaml)

# core_at ADDRESS FLAG ..: a network on loopback.
core_at() {
    start_imsreg "$work/serve-$1.log" serve --profile volte --sip $1:5060 --diameter $1:3868 --set icscf.listen=$1:4060 --set scscf.listen=$1:6060 \
        --hss-data hss-data/lab.yaml --control "$work/ctl-$1" "${@:2}" || { failure "imsreg serve ${*:2}"; exit 1; }
}
core_at 127.24.0.1 --sec-agree required
pids+=($imsreg_pid)
core_at 127.24.8.1 --sec-agree off --set scscf.aka_without_sa=accept
pids+=($imsreg_pid)
imsreg_pid=
our-network() { "$own" check pcscf 127.24.0.1:5060 "${subscribers[@]}" "$@"; }
our-network-in-clear() { "$own" check pcscf 127.24.8.1:5060 --sec-agree off "${subscribers[@]}" "$@"; }
checked our-network &
beside=$!
checked our-network-in-clear
wait $beside
judged our-network 305
judged our-network-in-clear 120
stop_all

# ue FLAG ..: the command of a UE of its own at the address 127.24.NET.PLACE.
ue() {
    echo "exec '$own' register --pcscf \$IMSREG_CHECK_PCSCF --source $1\$((IMSREG_CHECK_PLACE + 1)) --imsi 001010000000001" \
        "${subscribers[*]} --stay --orders --timeout 600 ${*:2} 2>/dev/null"
}
datagrams="--set ue.transport=udp --set 'ue.features=;+g.3gpp.smsip' --set ue.access_network=3GPP-E-UTRAN-FDD --set ue.user_agent=phone"
our-ue-tcp() { "$own" check ue --listen 127.24.1.1:5060 --jobs 64 --ue-orders --ue-command "$(ue 127.24.2.)" "$@"; }
our-ue-udp() { "$own" check ue --listen 127.24.3.1:5060 --jobs 64 --ue-orders --ue-command "$(ue 127.24.4. "$datagrams")" "$@"; }
checked our-ue-tcp &
beside=$!
checked our-ue-udp --only content,choice,challenge,grant,timing
wait $beside
judged our-ue-tcp 181
judged our-ue-udp 85

[ "$(id -u)" -eq 0 ] || { not_run "ESP needs root"; exit $status; }
need ip:iproute2 || exit $status
ip netns add $core 2>/dev/null && ip netns add $phones || { not_run "network namespaces cannot be made here"; exit $status; }
spaces=1
ip link add chk0 netns $core type veth peer name chk1 netns $phones
ip -n $core link set lo up
ip -n $core link set chk0 up
ip -n $core addr add 10.92.0.1/24 dev chk0
ip -n $phones link set lo up
ip -n $phones link set chk1 up
# A P-CSCF takes nothing in clear from who had SAs a moment ago. Where cases are played side by side, each has a P-CSCF.
for n in $(seq 2 241); do echo "addr add 10.92.0.$n/24 dev chk1"; done | ip -n $phones -batch -
for n in $(seq 1 16); do echo "addr add 10.93.1.$n/16 dev chk0"; done | ip -n $core -batch -
for n in $(seq 1 16); do echo "addr add 10.93.2.$n/16 dev chk1"; done | ip -n $phones -batch -
for space in $core $phones; do ip netns exec $space sh -c 'echo 2 >/proc/sys/net/ipv4/conf/all/rp_filter'; done
imsreg=ip
start_imsreg "$work/serve.log" netns exec $core "$own" serve --profile volte --sec-agree required --hss-data hss-data/lab.yaml \
    --control "$work/ctl" --sip 10.92.0.1:5060 --ipsec userspace || { failure "imsreg serve --ipsec userspace"; exit 1; }
our-network-esp() {
    ip netns exec $phones "$own" check pcscf 10.92.0.1:5060 --source 10.92.0.2 --addresses 120 --ipsec userspace \
        "${subscribers[@]}" "$@"
}
checked our-network-esp &
beside=$!
command=$(ue 10.93.2. --ipsec userspace)
our-ue-esp() {
    ip netns exec $core "$own" check ue --listen 10.93.1.1:5060 --ipsec userspace --jobs 16 --ue-orders \
        --ue-command "exec ip netns exec $phones ${command#exec }" "$@"
}
checked our-ue-esp --only content,security-server,choice,challenge,timing
wait $beside
judged our-network-esp 305
judged our-ue-esp 116
exit $status
