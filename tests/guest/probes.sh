#!/usr/bin/env bash
# The black-box suites of real ESP, whose other side is this kernel: our P-CSCF and our UE, each with plane userspace and with
# plane kernel. The four run at once, each in namespaces of its own: most of their time they wait for something to end.
set -u
. "$(dirname "$0")/../strangers/lib.sh"
shared probes/run-ipsec.sh || exit 0
need ip:iproute2 tcpdump:tcpdump unshare:util-linux || exit 0
need_python || exit 0
work=$(mktemp -d "$target/esp-probes.XXXXXX")
trap 'rm -rf "$work"' EXIT
export PYTHONDONTWRITEBYTECODE=1 PATH=$(dirname "$python"):$PATH
realm=ims.mnc001.mcc001.3gppnetwork.org
pairs=hmac-md5-96/null,hmac-md5-96/aes-cbc,hmac-md5-96/des-ede3-cbc,hmac-sha-1-96/null,hmac-sha-1-96/aes-cbc,hmac-sha-1-96/des-ede3-cbc,aes-gmac/null,null/aes-gcm
cat >"$work/subscribers.yaml" <<YAML
defaults: {amf: "8000", op: 30313233343536373839616263646566}
subscribers:
  - {imsi: "001010000001000", range: 4000, k: "4b{imsi}", msisdn: "+99910000"}
YAML

# suite NAME RUN-IPSEC-ARGUMENT ...: in a network of its own, with a /run of its own for the names of namespaces.
suite() {
    local name=$1
    shift
    mkdir "$work/$name"
    unshare -mn sh -c 'mount -t tmpfs run /run && exec "$@"' suite \
        "$IMSREG_SHARED/probes/run-ipsec.sh" --out "$work/$name" "$@" --quiet >"$work/$name/log" 2>&1
    echo $? >"$work/$name/status"
    echo "$name: $SECONDS s" >>"$work/$name/log"
}

# 64*T1 of Gm is 128 s by default (TS 24.229 table 7.7), and so long a set answers what is repeated after its
# de-registration; here it is 32 s, for which the suite waits. The list of Security-Verify is short, because one probe
# repeats such a REGISTER in a single frame. NET-01 is of a NOTIFY over UDP, and ours is so large that it goes over TCP
# (NET-02); MAN-03 wants a probe that the suite no longer has; DER-04 counts states of a kernel.
pcscf() {
    local skip='NET-01|MAN-03'
    [ "$1" = kernel ] || skip="$skip|DER-04"
    suite "pcscf-$1" --pcscf "$imsreg serve --realm $realm --ipsec $1 --sec-agree required --sip {addr}:5060 --sip [{addr6}]:5060 \
        --hss-data $work/subscribers.yaml --control {out}/ctl --set pcscf.algorithms=[$pairs] --set pcscf.full_list_in_401=false \
        --set timers.gm.t1=500ms --set scscf.challenge=always" -- \
        --realm $realm --imsi 001010000001000 --k 'ascii:K{imsi}' --op 30313233343536373839616263646566 --skip "^($skip)\$"
}

# The USIM has been in this network before: it would else answer the first challenge by AUTS, which one probe takes for an
# answer in clear. At a SUBSCRIBE the core of this suite takes one variable for two things, and ends. An offer of one pair
# fits into a datagram; the UE of the second run de-registers at its end.
ue() {
    local other='^(UES-01|UER-03)$' command="$imsreg register --ipsec $1 --pcscf {host}:{port} --realm {realm} --imsi {imsi} --k {k} \
        --opc {opc} --stay --sqn $(printf %x $(($(date +%s) << 5))) --set ue.subscribe=false"
    suite "ue-$1" --ue "$command --set ue.algorithms=[$pairs]" -- --skip "$other"
    suite "ue-udp-$1" --ue "$command --deregister --transport udp --set ue.algorithms=[hmac-sha-1-96/aes-cbc]" -- --only "$other"
}

for plane in userspace kernel; do
    pcscf $plane &
    ue $plane &
done
wait
status=0
for name in {pcscf,ue,ue-udp}-{userspace,kernel}; do
    echo "suite of $name"
    cat "$work/$name/log"
    code=$(cat "$work/$name/status")
    [ "$code" -eq 0 ] || status=1
    if [ -s "$work/$name/result.json" ]; then
        count_probes "$name" "$work/$name/result.json"
    else
        failure "$name: exit status $code"
    fi
done
exit $status
