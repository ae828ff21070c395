#!/usr/bin/env bash
# SIPp registers 1,000 subscribers over UDP and over TCP; tshark reads our capture of it.
set -u
. "$(dirname "$0")/lib.sh"
need "$sipp" "$tshark" || exit 0
need_python || exit 0
work=$(mktemp -d "$target/sipp.XXXXXX")
trap 'stop_imsreg; rm -rf "$work"' EXIT
here=$(cd "$(dirname "$0")" && pwd)/sipp
. "$here/keywords.sh"
status=0 users=1000
realm=ims.mnc001.mcc001.3gppnetwork.org

{
    echo SEQUENTIAL
    for i in $(seq 0 $((users - 1))); do
        imsi=$(printf '00101%010d' $((1000 + i)))
        echo "$imsi;$(aka "$imsi");$(claim "$imsi")"
    done
} >"$work/users.csv"
cat >"$work/subscribers.yaml" <<YAML
subscribers:
  - {imsi: "001010000001000", range: $users, k: "4b{imsi}", op: 30313233343536373839616263646566}
YAML

for transport in u1 t1; do
    capture=$work/$transport.pcapng
    start_imsreg "$work/serve.log" serve --profile lab --realm $realm --sip 127.0.0.1:5060 --sec-agree offered \
        --hss-data "$work/subscribers.yaml" --capture "$capture" || { failure "imsreg serve"; exit 1; }
    timeout 120 sipp 127.0.0.1:5060 -sf "$here/register.xml" -inf "$work/users.csv" -key realm $realm -key extra "" -t $transport \
        -i 127.0.0.1 -m $users -r 200 -l 400 -nostdin -trace_logs -log_file "$work/$transport.log" \
        -trace_err -error_file "$work/$transport.err" >"$work/sipp.out" 2>&1
    sipp_status=$?
    stop_imsreg || { failure "imsreg serve did not stop in order ($transport)"; status=1; }
    if "$python" "$here/res.py" "$work/$transport.log" $users && [ $sipp_status -eq 0 ]; then
        passed 1
    else
        failure "SIPp over $transport (exit $sipp_status)"
        tail -5 "$work/sipp.out" "$work/$transport.err" >&2
        status=1
    fi
    bash "$(dirname "$0")/tshark.sh" "$capture" $((users * 12)) $((users * 8)) || status=1
done
exit $status
