#!/usr/bin/env bash
# Plane kernel against plane userspace, both ways round, with every pair of algorithms: each judges the other's ESP. Then
# plane kernel at both ends: the life of its states is extended, and what it leaves when it is killed the next one sweeps.
set -u
. "$(dirname "$0")/../strangers/lib.sh"
status=0
note() { if [ "$1" -eq 0 ]; then passed 1; else failure "esp: $2"; status=1; fi; }
for planes in "kernel userspace" "userspace kernel"; do
    echo "core and UE: $planes"
    ESP_PLANES=$planes bash "$root/tests/strangers/60-esp.sh" || status=1
done

echo "core and UE: kernel kernel"
core=sweep-p phone=sweep-u work=$(mktemp -d "$target/sweep.XXXXXX") ue=
own=$imsreg
imsreg=ip
finish() {
    [ -n "$ue" ] && kill -KILL "$ue" 2>/dev/null
    stop_imsreg
    ip netns del $phone
    ip netns del $core
    rm -rf "$work"
}
trap finish EXIT
ip netns add $core && ip netns add $phone || exit 1
ip link add sweep0 netns $core type veth peer name sweep1 netns $phone
ip -n $core addr add 10.92.0.1/24 dev sweep0 && ip -n $core link set sweep0 up && ip -n $core link set lo up
ip -n $phone addr add 10.92.0.2/24 dev sweep1 && ip -n $phone link set sweep1 up
serve() {
    start_imsreg "$work/serve.log" netns exec $core "$own" serve --ipsec kernel --sec-agree required --sip 10.92.0.1:5060 \
        --hss-data "$root/hss-data/lab.yaml" --set scscf.expires.min=2s || { failure "imsreg serve --ipsec kernel"; exit 1; }
}
states() { ip -n $core xfrm state | grep -c ' spi '; }
walls() { ip -n $core xfrm policy | grep -c 'action block'; }
# The earliest end of any state, in seconds after it was made; 0: none has an end.
ends() { ip -n $core -s xfrm state | sed -n 's/.*expire add:.* hard \([0-9]*\)(sec).*/\1/p' | sort -n | head -1; }
# Waits until `$1` holds.
until_so() { local end=$((SECONDS + 60)); until eval "$1"; do [ $SECONDS -lt $end ] || return 1; sleep 0.5; done; }

serve
standing=$(walls)
ip netns exec $phone "$own" register --ipsec kernel --pcscf 10.92.0.1:5060 --source 10.92.0.2 --imsi 001010000000001 \
    --subscriber "$root/hss-data/lab.yaml" --stay --set ue.expires=20s >"$work/ue" 2>&1 &
ue=$!
# 20 s and 30 s more (TS 24.229 clause 5.2.2.1), then as long from the refresh at the half.
until_so '[ "$(states)" -eq 4 ] && [ "$(ends)" -ge 50 ] && [ "$(ends)" -le 52 ]'; note $? "a set of $(states) states, the first ends after $(ends) s: $(tail -1 "$work/ue")"
until_so '[ "$(ends)" -ge 58 ]'; note $? "the refresh does not extend states: $(ends) s"
# What an administrator wrote is none of ours.
ip -n $core xfrm policy add src 10.99.0.1 dst 10.99.0.2 dir out action block priority 7
ip -n $core xfrm state add src 10.99.0.1 dst 10.99.0.2 proto esp spi 0x1234 reqid 7 mode transport enc 'ecb(cipher_null)' '' \
    auth 'hmac(md5)' 0x00112233445566778899aabbccddeeff
kill -KILL "$imsreg_pid"
wait "$imsreg_pid" 2>/dev/null
imsreg_pid=
[ "$(states)" -eq 5 ]; note $? "states after a kill: $(states)"
serve
[ "$(states)" -eq 1 ] && [ "$(walls)" -eq $((standing + 1)) ]; note $? "swept down to $(states) states and $(walls) walls, 1 and $((standing + 1)) expected"
stop_imsreg
note $? "serve did not stop in order: $(tail -1 "$work/serve.log")"
[ "$(states)" -eq 1 ] && [ "$(walls)" -eq 1 ]; note $? "left by a stop in order: $(states) states, $(walls) policies"
exit $status
