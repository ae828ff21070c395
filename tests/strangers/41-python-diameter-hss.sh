#!/usr/bin/env bash
# python-diameter as the HSS of our I-CSCF and S-CSCF: UAR, MAR, SAR of a registration, then PPR and RTR, watchdogs, and
# the end of both connections.
set -u
. "$(dirname "$0")/lib.sh"
need "$tshark" || exit 0
need_python || exit 0
work=$(mktemp -d "$target/pyhss.XXXXXX")
hss=
trap '[ -n "$hss" ] && kill -TERM "$hss" 2>/dev/null; stop_imsreg; rm -rf "$work"' EXIT
echo "python-diameter $("$python" -c 'from importlib.metadata import version; print(version("python-diameter"))')"
realm=ims.mnc001.mcc001.3gppnetwork.org imsi=001010000001000
k=$(printf 'K%s' $imsi | od -An -tx1 | tr -d ' \n')

# says WORDS: the HSS has printed them, at most 60 s from now.
says() {
    local i
    for i in $(seq 600); do
        grep -q "$1" "$work/hss.log" && return 0
        kill -0 "$hss" 2>/dev/null || return 1
        read -rt 0.1 <> <(:) || :
    done
    return 1
}

timeout 120 "$python" "$(dirname "$0")/python_hss.py" $realm $imsi "$imsreg" register --pcscf 127.0.0.1:5060 --imsi $imsi \
    --k "$k" --op 30313233343536373839616263646566 --realm $realm --sec-agree off --stay --json >"$work/hss.log" 2>&1 &
hss=$!
says listening && start_imsreg "$work/serve.log" serve --profile lab --only pcscf,icscf,scscf --realm $realm --hss 127.0.0.1:3868 \
    --sip 127.0.0.1:5060 --sec-agree offered --control "$work/ctl" --capture "$work/all.pcapng" || { failure "imsreg serve"; cat "$work/hss.log"; exit 1; }
says "ready to stop" && left=$("$imsreg" ctl --socket "$work/ctl" registrations | head -1) || left=
stop_imsreg || { failure "imsreg serve did not stop in order"; exit 1; }
wait $hss
status=$?
hss=
grep -vE '^(listening|ready to stop)$' "$work/hss.log"
if [ $status -eq 0 ] && [ "${left%% *}" = 0 ]; then passed 1; else failure "python-diameter as HSS (left in the S-CSCF: $left)"; exit 1; fi
bash "$(dirname "$0")/tshark.sh" "$work/all.pcapng" 12 12
