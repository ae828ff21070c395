#!/usr/bin/env bash
# The black-box suites for P-CSCF, HSS and UE that need no ESP.
set -u
. "$(dirname "$0")/lib.sh"
need_python || exit 0
shared probes/probe_pcscf.py || exit 0
probes=$IMSREG_SHARED/probes
export PYTHONDONTWRITEBYTECODE=1
work=$(mktemp -d "$target/probes.XXXXXX")
suites=()
stop_all() {
    for pid in "${suites[@]}"; do kill -TERM "$pid" 2>/dev/null; done
    stop_imsreg
    rm -rf "$work"
}
trap stop_all EXIT
status=0

realm=ims.mnc001.mcc001.3gppnetwork.org
keys=(--realm $realm --imsi 001010000001000 --k "ascii:K{imsi}" --op 30313233343536373839616263646566)
others=(--barred 001010000009000 --unknown 999999999999999 --users 4000)
cat >"$work/subscribers.yaml" <<YAML
defaults: {amf: "8000", op: 30313233343536373839616263646566}
subscribers:
  - {imsi: "001010000001000", range: 4000, k: "4b{imsi}", msisdn: "+99910000"}
  - {imsi: "001010000009000", k: "4b{imsi}", barred: ["sip:001010000009000@$realm"]}
YAML

# probe_pcscf SERVE-ARGUMENT ... -- PROBE-ARGUMENT ...
probe_pcscf() {
    local serve=()
    while [ "$1" != -- ]; do serve+=("$1"); shift; done
    shift
    start_imsreg "$work/serve.log" serve --realm $realm --sip 127.0.0.1:5060 --sip '[::1]:5060' --ipsec none \
        --sec-agree required --hss-data "$work/subscribers.yaml" "${serve[@]}" || { failure "imsreg serve"; exit 1; }
    probe_suite probe_pcscf "$python" "$probes/probe_pcscf.py" --target 127.0.0.1:5060 --target6 '[::1]:5060' \
        "${keys[@]}" "${others[@]}" "$@" || status=1
    stop_imsreg || { failure "imsreg serve did not stop in order"; status=1; }
}

# EVT-07 sends SUBSCRIBE with an unknown Event to the user himself. An S-CSCF is notifier of reg alone (TS 24.229 clause
# 5.4.2.1.1) and forwards any other (clause 5.4.3.3); 489 is the word of the UE that gets it (RFC 6665 clause 4.2.1.1), here
# the probe itself, which says 200.
wrong='^EVT-07'
# The UE of these probes registers again with the SPIs and ports it has. TS 33.203 clause 7.4 wants new ones for a new
# set, so a P-CSCF that challenges must refuse them: they are judged where re-registrations are not challenged.
repeats='^(REG-25|AKA-16|BND-)'
probe_pcscf -- --skip "$wrong|$repeats"
probe_pcscf --set scscf.challenge=never -- --only "$repeats"

start_imsreg "$work/hss.log" serve --only hss --realm $realm --diameter 127.0.0.1:3868 --hss-data "$work/subscribers.yaml" ||
    { failure "imsreg serve --only hss"; exit 1; }
probe_suite probe_hss "$python" "$probes/probe_hss.py" --target 127.0.0.1:3868 "${keys[@]}" "${others[@]}" || status=1
stop_imsreg || { failure "imsreg serve --only hss did not stop in order"; status=1; }

# Each scenario waits out its seconds: four parts at a time, on an address each. The UE does not subscribe here: at a SUBSCRIBE
# the core of this suite takes one variable for two things, and ends.
for part in '[0-2]' '[34]' '[56]' '[7-9]'; do
    probe_suite fake_core "$python" "$probes/fake_core.py" --listen "127.0.3.$((${#suites[@]} + 1)):5060" "${keys[@]}" \
        --seconds 6 --only "$part\$" --ue "$imsreg register --pcscf {host}:{port} --source 127.0.3.$((${#suites[@]} + 11)) \
        --imsi {imsi} --k {k} --opc {opc} --realm {realm} --ipsec none --stay --set ue.subscribe=false" >"$work/fake_core.${#suites[@]}" 2>&1 &
    suites+=($!)
done
for n in "${!suites[@]}"; do
    wait "${suites[$n]}" || status=1
    sed 's/^fake_core .*: \([0-9]* probes\)/fake_core: \1/' "$work/fake_core.$n"
done
suites=()
exit $status
