#!/usr/bin/env bash
# Plane kernel under `imsreg check` and `--mutate`: cases against our own network with plane kernel, with that plane and with
# userspace at the UE, cases against our own UE, and faults of either side: of messages, of SAs in the kernel, past the plane.
set -u
. "$(dirname "$0")/../strangers/lib.sh"
need ip:iproute2 || exit 0
core=chkk-p phones=chkk-u at=10.92.0.1 work=$(mktemp -d "$target/check.XXXXXX") status=0 number=0
own=$imsreg
imsreg=ip
finish() {
    stop_imsreg
    ip netns del $phones
    ip netns del $core
    rm -rf "$work"
}
trap finish EXIT
cd "$root" || exit 1
note() { if [ "$1" -eq 0 ]; then passed 1; else failure "check with plane kernel: $2"; status=1; fi; }
ip netns add $core && ip netns add $phones || exit 1
ip link add chk0 netns $core type veth peer name chk1 netns $phones
ip -n $core -batch - <<B
link set lo up
link set chk0 up
addr add $at/16 dev chk0
B
ip -n $phones link set lo up
ip -n $phones link set chk1 up
for n in {1..4}.{2..101}; do echo "addr add 10.92.$n/16 dev chk1"; done | ip -n $phones -batch -
ip netns exec $phones sh -c 'echo 2 >/proc/sys/net/ipv4/conf/all/rp_filter'

serve() { # serve PLANE ARGUMENT ...
    local plane=$1
    shift
    start_imsreg "$work/serve.log" netns exec $core "$own" serve --profile volte --ipsec $plane --sec-agree required --sip $at:5060 \
        --hss-data hss-data/lab.yaml --control "$work/ctl" "$@" || { failure "imsreg serve --ipsec $plane"; exit 1; }
}
# judged WHAT LEAST: nothing failed in $work/report, and so many cases passed.
judged() {
    local good bad
    good=$(grep -c '"verdict":"passed"' "$work/report") bad=$(grep '"verdict":"failed"' "$work/report" | grep -o '"id":"[^"]*"' | tr '\n' ' ')
    echo "$1: $good cases passed in $((SECONDS - begun)) s"
    [ "$good" -ge "$2" ] && [ -z "$bad" ]; note $? "$1: $good passed, wanted $2; failed: $bad $(tail -1 "$work/errors")"
}
# Nothing is left in the kernel of either side.
left() {
    local left
    left=$(ip -n $core xfrm state; ip -n $core xfrm policy; ip -n $phones xfrm state; ip -n $phones xfrm policy)
    [ -z "$left" ]; note $? "$1 left: $(head -2 <<X
$left
X
)"
}

few=challenge-form,sa-answer-in-clear,sa-register-in-clear-again,life-reregister,life-again-at-once,verify-spi-c,identity-changes-impu
more=$few,selection-sha-null_md5-aes,selection-sha-des_md5-null,offer-no-alg,offer-in-lines,offer-spi-of-pcscf,verify-missing,verify-client-port-s,sa-message-in-clear,sa-subscribe-in-clear,sa-two-sets,challenge-answer-retransmitted,life-deregister-wrong-response,transport-tcp,transport-two-ues
for run in kernel:kernel:$more kernel:userspace:$few; do
    IFS=: read -r network ue cases <<X
$run
X
    number=$((number + 1)) begun=$SECONDS
    serve $network
    ip netns exec $phones "$own" check pcscf $at:5060 --ipsec $ue --source 10.92.$number.2 --addresses 50 --subscriber hss-data/lab.yaml \
        --fast --json --only "$cases" >"$work/report" 2>"$work/errors"
    judged "network $network, UE $ue" $([ $ue = kernel ] && echo 20 || echo 7)
    stop_imsreg
    note $? "imsreg serve did not stop in order: $(tail -1 "$work/serve.log")"
    left "network $network, UE $ue"
done

begun=$SECONDS
ip netns exec $core "$own" check ue --listen $at:5060 --ipsec kernel --hss-data hss-data/lab.yaml --fast --json \
    --only server-no-alg,server-other-integrity,timing-wrong-keys --ue-command \
    "exec ip netns exec $phones '$own' register --pcscf $at:5060 --source 10.92.4.2 --imsi 001010000000001 --subscriber hss-data/lab.yaml --ipsec kernel --stay 2>/dev/null" \
    >"$work/report" 2>"$work/errors"
judged "UE kernel" 2
left "UE kernel"

# The faults: register with each against a sound network, then each network against a sound UE. `ue FAULT STATUS TEXT`: its exit
# status, and a text that is in what it says.
ue() {
    local said=$1 code
    number=$((number + 1))
    ip netns exec $phones "$own" register --ipsec kernel --pcscf $at:5060 --source 10.92.4.$number --subscriber hss-data/lab.yaml \
        --imsi 001010000000001 --timeout 4 --json ${4:+--mutate "$4"} >"$work/ue" 2>"$work/ue.err"
    code=$?
    [ $code -eq "$2" ] && grep -qE "$3" "$work/ue" "$work/ue.err"
    note $? "$said: exit status $code, wanted $2 and $3: $(tail -2 "$work/ue.err")"
    echo "$said: exit status $code, $(tail -1 "$work/ue.err")"
}
serve kernel
ue "a sound UE" 0 '"event":"registered"'
ue "UE, Security-Verify altered" 1 . verify-spi-c
ue "UE, no offer" 1 . offer-no-alg
ue "UE, SAs of another key" 1 . tests/mutations/cases/completion.yaml:sa-50-ue-wrong-ik
ue "UE, answer in clear" 1 . sa-answer-in-clear
stop_imsreg
left "faulty UEs"
for fault in server-no-alg timing-wrong-keys timing-challenge-twice; do
    serve kernel --mutate $fault
    ue "network, $fault" $([ $fault = timing-challenge-twice ] && echo 0 || echo 1) .
    stop_imsreg
    left "network, $fault"
done
exit $status
