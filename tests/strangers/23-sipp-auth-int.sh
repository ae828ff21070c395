#!/usr/bin/env bash
# SIPp signs bodies too: it registers with qop=auth-int, and answers the 407 that its MESSAGEs get.
set -u
. "$(dirname "$0")/lib.sh"
need "$sipp" "$tshark" || exit 0
work=$(mktemp -d "$target/auth-int.XXXXXX")
callee=
stop_all() {
    [ -n "$callee" ] && kill -TERM "$callee" 2>/dev/null
    stop_imsreg
    rm -rf "$work"
}
trap stop_all EXIT
here=$(cd "$(dirname "$0")" && pwd)/sipp
realm=ims.test
. "$here/keywords.sh"
sipp -v | sed -n 's/^ *\(SIPp v[^-]*\).*/\1/p'
status=0 messages=50 core=127.0.6.1

for name in alice bob; do
    printf 'SEQUENTIAL\n%s;%s;%s\n' $name "$(digest $name "secret-of-$name")" "$(claim $name)" >"$work/$name.csv"
done
# play LOG SCENARIO LOCAL ARGUMENT ...: SIPp plays it, at most 60 s.
play() {
    local log=$work/$1 scenario=$2 local=$3
    shift 3
    timeout 60 sipp $core:5060 -sf "$here/$scenario.xml" -key realm $realm -key extra "" -i "$local" -p 5070 -t u1 -nostdin \
        -timeout 55 -trace_err -error_file "$log.err" "$@" >"$log.out" 2>&1
}
unhappy() { # unhappy WHAT LOG
    failure "SIPp, $1"
    tail -qn 3 "$work/$2.err" "$work/$2.out" >&2 2>/dev/null
    status=1
}

serve_two_phones '{qop: auth-int}' --set scscf.proxy_auth=true
for who in alice:127.0.5.1 bob:127.0.5.2; do
    name=${who%%:*}
    if play "$name" register "${who##*:}" -inf "$work/$name.csv" -m 1; then passed 1; else unhappy "$name is not registered" "$name"; fi
done
play callee callee 127.0.5.2 -m $messages &
callee=$!
if play message message-asked 127.0.5.1 -inf "$work/alice.csv" -m $messages -r 25 && wait $callee; then
    passed 1
    echo "$messages of $messages: MESSAGE with 407"
else
    unhappy "MESSAGE with 407" message
fi
callee=
stop_imsreg || { failure "imsreg serve did not stop in order"; status=1; }
credentials "SIPp, auth-int in Authorization" "$work/all.pcapng" \
    'sip.Method == "REGISTER" && sip.auth.qop == "auth-int" && sip.auth.digest.response && ip.src == 127.0.5.0/24' 2 || status=1
credentials "SIPp, auth-int in Proxy-Authorization" "$work/all.pcapng" \
    'sip.Method == "MESSAGE" && sip.Proxy-Authorization && sip.auth.qop == "auth-int" && ip.src == 127.0.5.0/24' $messages || status=1
bash "$(dirname "$0")/tshark.sh" "$work/all.pcapng" $((messages * 12)) 12 || status=1
exit $status
