#!/usr/bin/env bash
# The black-box suites of real ESP, whose other side is this kernel: our P-CSCF and our UE with plane userspace.
set -u
. "$(dirname "$0")/../strangers/lib.sh"
shared probes/run-ipsec.sh || exit 0
need ip:iproute2 tcpdump:tcpdump || exit 0
need_python || exit 0
work=$(mktemp -d "$target/esp-probes.XXXXXX")
trap 'rm -rf "$work"' EXIT
export PYTHONDONTWRITEBYTECODE=1 PATH=$(dirname "$python"):$PATH
status=0
realm=ims.mnc001.mcc001.3gppnetwork.org
pairs=hmac-md5-96/null,hmac-md5-96/aes-cbc,hmac-md5-96/des-ede3-cbc,hmac-sha-1-96/null,hmac-sha-1-96/aes-cbc,hmac-sha-1-96/des-ede3-cbc,aes-gmac/null,null/aes-gcm
cat >"$work/subscribers.yaml" <<YAML
defaults: {amf: "8000", op: 30313233343536373839616263646566}
subscribers:
  - {imsi: "001010000001000", range: 4000, k: "4b{imsi}", msisdn: "+99910000"}
YAML

# suite NAME RUN-IPSEC-ARGUMENT ...
suite() {
    local name=$1
    shift
    mkdir "$work/$name"
    "$IMSREG_SHARED/probes/run-ipsec.sh" --out "$work/$name" "$@" --quiet
    local code=$?
    [ $code -eq 0 ] || status=1
    if [ -s "$work/$name/result.json" ]; then
        count_probes "$name" "$work/$name/result.json"
    else
        failure "$name: exit status $code"
    fi
}

# 64*T1 of Gm is 128 s (TS 24.229 table 7.7): so long a set answers what is repeated after its de-registration. The list
# of Security-Verify is short, because one probe repeats such a REGISTER in a single frame. NET-01 is of a NOTIFY over UDP,
# and ours is so large that it goes over TCP (NET-02); DER-04 and MAN-03 count states of a kernel plane.
suite probe_ipsec --pcscf "$imsreg serve --realm $realm --ipsec userspace --sec-agree required --sip {addr}:5060 --sip [{addr6}]:5060 \
    --hss-data $work/subscribers.yaml --control {out}/ctl --set pcscf.algorithms=[$pairs] --set pcscf.full_list_in_401=false \
    --set scscf.challenge=always" -- \
    --realm $realm --imsi 001010000001000 --k 'ascii:K{imsi}' --op 30313233343536373839616263646566 --gone 140 \
    --skip '^(NET-01|DER-04|MAN-03)$'

# The USIM has been in this network before: it would else answer the first challenge by AUTS, which one probe takes for an
# answer in clear. At a SUBSCRIBE the core of this suite takes one variable for two things, and ends.
ue="$imsreg register --ipsec userspace --pcscf {host}:{port} --realm {realm} --imsi {imsi} --k {k} --opc {opc} --stay \
    --sqn $(printf %x $(($(date +%s) << 5))) --set ue.subscribe=false"
# An offer of one pair fits into a datagram; the UE of the second run de-registers at its end.
other='^(UES-01|UER-03)$'
suite fake_core_ipsec --ue "$ue --set ue.algorithms=[$pairs]" -- --skip "$other"
suite fake_core_ipsec_udp --ue "$ue --deregister --transport udp --set ue.algorithms=[hmac-sha-1-96/aes-cbc]" -- --only "$other"
exit $status
