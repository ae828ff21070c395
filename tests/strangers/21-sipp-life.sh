#!/usr/bin/env bash
# SIPp lives a whole registration (register, refresh, de-register; AKA and SIP digest with qop) towards our P-CSCF and
# towards our S-CSCF alone, and two of its users talk through our core: MESSAGE, INVITE to BYE, INVITE to CANCEL.
set -u
. "$(dirname "$0")/lib.sh"
need "$sipp" "$tshark" || exit 0
need_python || exit 0
work=$(mktemp -d "$target/life.XXXXXX")
callee=
stop_all() {
    [ -n "$callee" ] && kill -TERM "$callee" 2>/dev/null
    stop_imsreg
    rm -rf "$work"
}
trap stop_all EXIT
here=$(cd "$(dirname "$0")" && pwd)/sipp
. "$here/keywords.sh"
sipp -v | sed -n 's/^ *\(SIPp v[^-]*\).*/\1/p'
status=0 users=100 calls=50
realm=ims.mnc001.mcc001.3gppnetwork.org

{
    echo "subscribers:"
    echo "  - {imsi: \"001010000001000\", range: $users, k: \"4b{imsi}\", op: 30313233343536373839616263646566}"
    for name in alice bob $(seq -f 'digest%g' $users); do
        echo "  - {impus: [\"sip:$name@$realm\"], password: \"secret-of-$name\"}"
    done
} >"$work/subscribers.yaml"
{ echo SEQUENTIAL; for i in $(seq 1000 $((999 + users))); do
    imsi=$(printf '00101%010d' "$i")
    echo "$imsi;$(aka "$imsi");$(claim "$imsi")"
done; } >"$work/aka.csv"
{ echo SEQUENTIAL; for name in $(seq -f 'digest%g' $users); do
    echo "$name;$(digest "$name" "secret-of-$name");$(claim "$name")"
done; } >"$work/digest.csv"
for name in alice bob; do
    printf 'SEQUENTIAL\n%s;%s;%s\n' $name "$(digest $name "secret-of-$name")" "$(claim $name)" >"$work/$name.csv"
done

# play LOG SCENARIO TARGET LOCAL PORT ARGUMENT ...: SIPp plays it, at most 60 s.
play() {
    local log=$1 scenario=$2 to=$3 local=$4 port=$5
    shift 5
    timeout 60 sipp "$to" -sf "$here/$scenario.xml" -key realm $realm -i "$local" -p "$port" -t u1 -nostdin -timeout 55 \
        -trace_logs -log_file "$log.log" -trace_err -error_file "$log.err" "$@" >"$log.out" 2>&1
}
unhappy() { # unhappy WHAT LOG
    failure "$1"
    tail -qn 3 "$2.err" "$2.out" >&2 2>/dev/null
    status=1
}

# lives WHAT TARGET EXTRA: every user registers, refreshes and de-registers, and nobody is left.
lives() {
    local kind log
    for kind in aka digest; do
        log=$work/$1.$kind
        play "$log" life "$2" 127.0.0.1 5070 -inf "$work/$kind.csv" -m $users -r 50 -key extra "$3"
        local played=$? phases
        phases=$(for e in 7200 3600 0; do grep -c "done $e " "$log.log"; done | tr '\n' ' ')
        echo "$1, $kind: $phases registered, refreshed, de-registered of $users"
        if [ $kind = aka ]; then "$python" "$here/res.py" "$log.log" $users; else true; fi
        if [ $? -eq 0 ] && [ $played -eq 0 ] && [ "$phases" = "$users $users $users " ]; then passed 3; else unhappy "SIPp, $1, $kind" "$log"; fi
    done
    local left
    left=$("$imsreg" ctl --socket "$work/ctl" registrations | head -1)
    case $left in "0 "*) passed 1 ;; *) failure "left in the S-CSCF: $left"; status=1 ;; esac
}

serve() { # serve CAPTURE ARGUMENT ...
    local capture=$1
    shift
    start_imsreg "$work/serve.log" serve --profile lab --realm $realm --hss-data "$work/subscribers.yaml" \
        --set scscf.challenge=always --control "$work/ctl" --capture "$capture" "$@" || { failure "imsreg serve"; exit 1; }
}
stop() { # stop CAPTURE SIP CX
    stop_imsreg || { failure "imsreg serve did not stop in order"; status=1; }
    bash "$(dirname "$0")/tshark.sh" "$@" || status=1
}

serve "$work/scscf.pcapng" --only scscf,hss --sip 127.0.0.1:6060
lives "S-CSCF alone" 127.0.0.1:6060 $'\r\nPath: <sip:term@127.0.0.1:5070;lr>\r\nRequire: path\r\nP-Visited-Network-ID: '$realm
stop "$work/scscf.pcapng" $((users * 24)) $((users * 12))

# UEs have addresses of their own: what comes from the address of the core is the core.
serve "$work/all.pcapng" --sip 127.0.0.1:5060 --sec-agree offered --set 'pcscf.trusted=[127.0.0.1]'
lives "P-CSCF" 127.0.0.1:5060 ""

for who in alice:127.0.5.1 bob:127.0.5.2; do
    play "$work/${who%%:*}" register 127.0.0.1:5060 "${who##*:}" 5070 -inf "$work/${who%%:*}.csv" -m 1 -key extra "" ||
        unhappy "${who%%:*} is not registered" "$work/${who%%:*}"
done
for what in message invite cancel; do
    play "$work/callee" callee 127.0.0.1:5060 127.0.5.2 5070 -m $calls &
    callee=$!
    if play "$work/$what" $what 127.0.0.1:5060 127.0.5.1 5070 -m $calls -r 25 && wait $callee; then
        passed 1
        echo "$calls of $calls: $(sed -n 's/.*scenario name="\(.*\)".*/\1/p' "$here/$what.xml")"
    else
        unhappy "SIPp, $what" "$work/$what"
        kill -TERM $callee 2>/dev/null
        wait $callee
        tail -qn 3 "$work/callee.err" "$work/callee.out" >&2 2>/dev/null
    fi
    callee=
done
stop "$work/all.pcapng" $((users * 72)) $((users * 24))
exit $status
