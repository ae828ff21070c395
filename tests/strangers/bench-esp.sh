#!/usr/bin/env bash
# What plane userspace adds to one registration at the P-CSCF: CPU of one and the same `imsreg serve` with plane userspace
# and with plane none, in turn, between two network namespaces. The load is `imsreg register --count`, one datagram a
# message, and is not counted; but what the P-CSCF sends is delivered to its receiver in the same breath, and that is. Called
# by bench.sh; BENCH_UES UEs a row.
set -u
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || { not_run "ESP needs root"; exit 0; }
need ip:iproute2 || exit 0
core=bench-p-$$ phones=bench-u-$$ ues=${BENCH_UES:-500} status=0
ip netns add $core 2>/dev/null && ip netns add $phones || { not_run "network namespaces cannot be made here"; exit 0; }
work=$(mktemp -d "$target/bench-esp.XXXXXX")
own=$imsreg
imsreg=ip
trap 'stop_imsreg; ip netns del $phones; ip netns del $core; rm -rf "$work"' EXIT
ip link add bench0 netns $core type veth peer name bench1 netns $phones
ip -n $core -batch - <<B
link set lo up
link set bench0 up
addr add 10.94.0.1/16 dev bench0
B
{
    echo "link set lo up"
    echo "link set bench1 up"
    for i in $(seq 0 $((ues - 1))); do echo "addr add 10.94.$((1 + i / 256)).$((i % 256))/16 dev bench1"; done
} | ip -n $phones -batch -
cat >"$work/subscribers.yaml" <<YAML
subscribers:
  - {imsi: "001010000001000", range: $ues, k: "4b{imsi}", op: 30313233343536373839616263646566}
YAML
cpu() { cat /proc/"$imsreg_pid"/task/*/schedstat | awk '{ n += $1 } END { printf "%d", n / 1000 }'; }

# one PLANE PAIR: microseconds of CPU for a registration, in $figure.
one() {
    local before
    start_imsreg "$work/serve.log" netns exec $core "$own" serve --ipsec "$1" --sec-agree required \
        --sip 10.94.0.1:5060 --hss-data "$work/subscribers.yaml" --control "$work/ctl" --set "pcscf.algorithms=[$2]" || return
    before=$(cpu)
    ip netns exec $phones "$own" register --ipsec "$1" --pcscf 10.94.0.1:5060 --source 10.94.1.0 --count "$ues" \
        --rate 250 --transport udp --imsi 001010000001000 --subscriber "$work/subscribers.yaml" \
        --set "ue.algorithms=[$2]" --set "ue.features=;audio" >"$work/ues" 2>&1 || { cat "$work/ues" >&2; return 1; }
    sleep 2
    figure=$(awk -v spent=$(($(cpu) - before)) -v ues="$ues" 'BEGIN { printf "%.1f", spent / ues }')
    stop_imsreg
}

for pair in hmac-sha-1-96/aes-cbc null/aes-gcm; do
    with= without=
    for _ in 1 2 3; do
        for plane in none userspace; do
            one $plane $pair || { failure "bench of plane $plane"; exit 1; }
            case $plane in none) without+=" $figure" ;; userspace) with+=" $figure" ;; esac
        done
    done
    # Of each the least, which met fewest other processes.
    read -r without with < <(for all in "$without" "$with"; do tr ' ' '\n' <<<"$all" | sort -n | awk 'NF { print; exit }'; done | xargs)
    awk -v p="$pair" -v a="$with" -v b="$without" 'BEGIN { printf "plane userspace, %s: %.1f us of CPU for a registration, without ESP %.1f us: %.1f us more\n", p, a, b, a - b }'
    ratio "plane userspace, $pair, beside plane none" "$with" "$without" 2 || status=1
done
exit $status
