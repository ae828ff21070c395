#!/usr/bin/env bash
# Datagrams larger than the way takes go in pieces: a registration over UDP where 400 octets are the most.
set -u
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || { not_run "a network namespace needs root"; exit 0; }
need ip:iproute2 || exit 0
ns=frag-$$
ip netns add $ns 2>/dev/null || { not_run "network namespaces cannot be made here"; exit 0; }
work=$(mktemp -d "$target/fragments.XXXXXX")
finish() {
    stop_imsreg
    ip netns del $ns
    rm -rf "$work"
}
trap finish EXIT
status=0
note() { if [ "$1" -eq 0 ]; then passed 1; else failure "fragments: $2"; status=1; fi; }
fragments() { ip netns exec $ns awk '/^Ip: [0-9]/ { print $20 }' /proc/net/snmp; }

ip -n $ns link set lo mtu 400 up
own=$imsreg
imsreg=ip
start_imsreg "$work/serve.log" netns exec $ns "$own" serve --ipsec none --sec-agree off --sip 127.0.0.1:5060 --control "$work/ctl" || { failure "imsreg serve"; exit 1; }
ip netns exec $ns timeout 30 "$own" register --ipsec none --sec-agree off --transport udp --pcscf 127.0.0.1:5060 --source 127.0.0.2 --imsi 001010000000001 --subscriber "$root/hss-data/lab.yaml" --timeout 20 --deregister >"$work/ue" 2>&1
note $? "$(tail -3 "$work/ue")"
made=$(fragments)
[ "$made" -ge 8 ]; note $? "$made fragments were made by the system, 8 or more expected"
exit $status
