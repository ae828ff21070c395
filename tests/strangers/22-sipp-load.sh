#!/usr/bin/env bash
# SIPp registers 50,000 subscribers at a fixed rate, through our P-CSCF and at our S-CSCF alone: all of them are
# registered in the end. USERS and RATE say otherwise (default 50000, and 1000 a second).
set -u
. "$(dirname "$0")/lib.sh"
need "$sipp" || exit 0
need_python || exit 0
work=$(mktemp -d "$target/load.XXXXXX")
trap 'stop_imsreg; rm -rf "$work"' EXIT
here=$(cd "$(dirname "$0")" && pwd)/sipp
. "$here/keywords.sh"
sipp -v | sed -n 's/^ *\(SIPp v[^-]*\).*/\1/p'
status=0 users=${USERS:-50000} rate=${RATE:-1000}
realm=ims.mnc001.mcc001.3gppnetwork.org

{ echo SEQUENTIAL; seq -f '00101%010.0f' 1000 $((999 + users)) | sed "s|.*|&;$(aka '&');$(claim '&')|"; } >"$work/users.csv"
cat >"$work/subscribers.yaml" <<YAML
subscribers:
  - {imsi: "001010000001000", range: $users, k: "4b{imsi}", op: 30313233343536373839616263646566}
YAML

# load WHAT TARGET EXTRA ARGUMENT ...
load() {
    local what=$1 to=$2 extra=$3 played start left cpu
    shift 3
    start_imsreg "$work/serve.log" serve --profile lab --realm $realm --hss-data "$work/subscribers.yaml" \
        --control "$work/ctl" "$@" || { failure "imsreg serve"; exit 1; }
    start=$SECONDS
    timeout $((users / rate + 120)) sipp "$to" -sf "$here/register.xml" -inf "$work/users.csv" -key realm $realm -key extra "$extra" \
        -t u1 -i 127.0.0.1 -p 5070 -m "$users" -r "$rate" -l 5000 -nostdin -buff_size 4194304 -trace_logs -log_file "$work/sipp.log" \
        -trace_err -error_file "$work/sipp.err" >"$work/sipp.out" 2>&1
    played=$?
    cpu=$(awk -v hz="$(getconf CLK_TCK)" '{ print ($14 + $15) / hz }' "/proc/$imsreg_pid/stat")
    left=$("$imsreg" ctl --socket "$work/ctl" registrations | sed -n '1s/ .*//p')
    echo "$what: $left of $users registered after $((SECONDS - start)) s at $rate a second; $cpu s of CPU in imsreg"
    if "$python" "$here/res.py" "$work/sipp.log" "$users" && [ $played -eq 0 ] && [ "$left" = "$users" ]; then
        passed 1
    else
        failure "SIPp, $what (exit $played)"
        tail -qn 3 "$work/sipp.err" "$work/sipp.out" >&2 2>/dev/null
        status=1
    fi
    stop_imsreg || { failure "imsreg serve did not stop in order"; status=1; }
}

load "all four elements" 127.0.0.1:5060 "" --sip 127.0.0.1:5060 --sec-agree offered
load "S-CSCF alone" 127.0.0.1:6060 $'\r\nPath: <sip:term@127.0.0.1:5070;lr>\r\nRequire: path\r\nP-Visited-Network-ID: '$realm \
    --only scscf,hss --sip 127.0.0.1:6060
exit $status
