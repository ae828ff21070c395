#!/usr/bin/env bash
# 1,000 UEs of one process, each at an address of its own, over ESP between two network namespaces, plane userspace at both
# ends: all register and de-register, and nothing is left at either end.
set -u
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || { not_run "ESP needs root"; exit 0; }
need ip:iproute2 ss:iproute2 || exit 0
core=many-p-$$ phones=many-u-$$ ues=1000
ip netns add $core 2>/dev/null && ip netns add $phones || { not_run "network namespaces cannot be made here"; exit 0; }
work=$(mktemp -d "$target/many.XXXXXX")
register=
finish() {
    [ -n "$register" ] && kill -KILL "$register" 2>/dev/null
    stop_imsreg
    ip netns del $phones
    ip netns del $core
    rm -rf "$work"
}
trap finish EXIT
status=0
note() { if [ "$1" -eq 0 ]; then passed 1; else failure "1,000 UEs: $2"; status=1; fi; }

ip link add many0 netns $core type veth peer name many1 netns $phones
{
    echo "link set lo up"
    echo "link set many0 up"
    echo "addr add 10.93.0.1/16 dev many0"
} | ip -n $core -batch -
{
    echo "link set lo up"
    echo "link set many1 up"
    for i in $(seq 0 $((ues - 1))); do echo "addr add 10.93.$((1 + i / 256)).$((i % 256))/16 dev many1"; done
} | ip -n $phones -batch -
cat >"$work/subscribers.yaml" <<YAML
subscribers:
  - {imsi: "001010000001000", range: $ues, k: "4b{imsi}", op: 30313233343536373839616263646566}
YAML
own=$imsreg
imsreg=ip
# T1 of Gm is 500 ms: 32 s after its last answer the SAs of a UE are gone.
start_imsreg "$work/serve.log" netns exec $core "$own" serve --ipsec userspace --sec-agree required --sip 10.93.0.1:5060 \
    --hss-data "$work/subscribers.yaml" --control "$work/ctl" --set timers.gm.t1=500ms || { failure "imsreg serve"; exit 1; }
ip netns exec $phones "$own" register --ipsec userspace --pcscf 10.93.0.1:5060 --source 10.93.1.0 --count $ues \
    --rate 200 --timeout 60 --imsi 001010000001000 --subscriber "$work/subscribers.yaml" --stay --deregister >"$work/ues" 2>&1 &
register=$!
for _ in $(seq 600); do grep -q '^1000 registered' "$work/ues" && break; kill -0 "$register" 2>/dev/null || break; sleep 0.2; done
sets=$("$own" sa --json --socket "$work/ctl" | grep -o '"phase":"established"' | wc -l)
[ "$sets" -eq $ues ]; note $? "$sets sets established at the P-CSCF"
sockets=$(ip netns exec $phones ss -Htuna | grep -c ':')
devices=$(ip -n $phones -o link | grep -c ': imsreg')
[ "$devices" -eq 1 ]; note $? "$devices devices at the UEs"
kill -INT "$register"
wait "$register"
code=$?
register=
cat "$work/ues"
[ $code -eq 0 ] && grep -q "^$ues of $ues UEs registered" "$work/ues" && grep -q "^$ues of $ues UEs de-registered" "$work/ues"
note $? "exit status $code: $(tail -3 "$work/ues")"
left=$({
    ip -n $phones -o link | grep -vE ' (lo|many1@if[0-9]+): '
    ip netns exec $phones sh -c 'ss -Htuna; ss -Hwna; ip xfrm state; ip xfrm policy' | grep -v TIME-WAIT
} | head -3)
[ -z "$left" ]; note $? "left at the UEs: $left"
[ "$("$own" ctl --json --socket "$work/ctl" registrations | grep -o '"impi"' | wc -l)" -eq 0 ]; note $? "registrations left"
for _ in $(seq 60); do sets=$("$own" sa --socket "$work/ctl" | sed -n '1s/ .*//p'); [ "$sets" = 0 ] && break; sleep 1; done
[ "$sets" = 0 ]; note $? "$sets sets of SAs left at the P-CSCF"
echo "$sockets sockets of the UEs while they were registered"
stop_imsreg
note $? "imsreg serve did not stop in order: $(tail -1 "$work/serve.log")"
left=$({
    ip -n $core -o link | grep -vE ' (lo|many0@if[0-9]+): '
    ip netns exec $core sh -c 'ss -Htuna; ss -Hwna; ip xfrm state; ip xfrm policy' | grep -v TIME-WAIT
} | head -3)
[ -z "$left" ]; note $? "left at the P-CSCF: $left"
exit $status
