#!/usr/bin/env bash
# Two baresip register with SIP digest at our core; one sends a message to the other, calls it and hangs up. Then once more
# where the core asks for the password with every request (407). SHA-256 is not offered: version 1.0 ends with "Function not
# implemented" where RFC 8760 clause 2.4 lets it pass over what it does not know and take the MD5 challenge behind it.
set -u
. "$(dirname "$0")/lib.sh"
need "$baresip" ip:iproute2 "$tshark" || exit 0
need_python || exit 0
own_address || exit 0 # it takes none of 127/8
work=$(mktemp -d "$target/baresip.XXXXXX")
pids=()
stop_phones() {
    for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null; done
    pids=()
}
trap 'stop_phones; stop_imsreg; rm -rf "$work"' EXIT
status=0 core=127.0.6.1

"$python" -c 'import sys, wave
w = wave.open(sys.argv[1], "wb"); w.setparams((1, 2, 8000, 0, "NONE", "")); w.writeframes(bytes(160000))' "$work/silence.wav"
modules=$(echo /usr/lib/*/baresip/modules /usr/lib/baresip/modules | tr ' ' '\n' | grep -v '\*' | head -1)
# phone NAME SIP-PORT CONTROL-PORT: starts it; it is commanded by netstrings of JSON on its control port.
phone() {
    local home=$work/$1
    mkdir -p "$home"
    echo "<sip:$1@ims.test>;auth_user=$1@ims.test;auth_pass=secret-of-$1;outbound=\"sip:$core:5060\";regint=3600;answermode=manual" >"$home/accounts"
    printf '"Bob" <sip:bob@ims.test>\n' >"$home/contacts"
    printf sip:bob@ims.test >"$home/current_contact"
    cat >"$home/config" <<CONFIG
poll_method epoll
net_interface $address
sip_listen $address:$2
audio_source aufile,$work/silence.wav
module_path $modules
module g711.so
module aufile.so
module ctrl_tcp.so
module_tmp account.so
module_app menu.so
module_app contact.so
ctrl_tcp_listen 127.0.0.1:$3
CONFIG
    HOME=$home baresip -4 -s -f "$home" >"$home/out" 2>&1 </dev/null &
    pids+=($!)
}
# seen WHAT FILE PATTERN: within 20 s.
seen() {
    local i
    for i in $(seq 200); do
        if grep -q "$3" "$work/$2" 2>/dev/null; then
            passed 1
            echo "baresip, $digest: $1"
            return
        fi
        read -rt 0.1 <> <(:) || :
    done
    failure "baresip, $digest: $1"
    tail -n 5 "$work/alice/out" "$work/bob/out" >&2
    status=1
}
# tell CONTROL-PORT COMMAND PARAMETERS
tell() {
    "$python" - "$@" <<'PY' >>"$work/control.log" 2>&1
import json, socket, sys
port, command, params = sys.argv[1:4]
text = json.dumps({"command": command, "params": params, "token": "t"})
with socket.create_connection(("127.0.0.1", int(port)), timeout=5) as s:
    s.sendall(b"%d:%s," % (len(text), text.encode()))
    s.settimeout(2)
    print(command, params, s.recv(65536))
PY
}

# The phones have another address: what comes from the address of the core is the core.
# lives DIGEST ARGUMENT ...: the life of both phones at a core with these subscribers and arguments.
lives() {
    digest=$1
    serve_two_phones "$@"
    phone alice 5085 4444
    phone bob 5095 4445
    for name in alice bob; do seen "$name is registered with digest" $name/out '200 OK'; done
    tell 4444 message "Dinner at eight"
    seen "bob has the message" bob/out 'Dinner at eight'
    tell 4444 dial sip:bob@ims.test
    seen "bob's phone rings" alice/out 'SIP Progress: 180'
    tell 4445 accept ""
    seen "alice's call is answered" alice/out 'Call established'
    tell 4444 hangup ""
    seen "bob hears the end of the call" bob/out 'session closed'
    tell 4444 quit ""
    tell 4445 quit ""
    stop_phones
    left=$("$imsreg" ctl --socket "$work/ctl" registrations | sed -n '1s/ .*//p')
    if [ "$left" = 0 ]; then passed 1; echo "baresip, $digest: both are de-registered"; else failure "baresip, $digest: $left sets are left in the S-CSCF"; status=1; fi
    stop_imsreg || { failure "imsreg serve did not stop in order"; status=1; }
    bash "$(dirname "$0")/tshark.sh" "$work/all.pcapng" 40 12 || status=1
}

lives '{}'
sed -n 's/^baresip \(v[0-9.]*\).*/baresip \1/p' "$work/alice/out"
lives '{algorithm: MD5}' --set scscf.proxy_auth=true
credentials "baresip, Proxy-Authorization" "$work/all.pcapng" \
    "sip.Proxy-Authorization && sip.auth.digest.response && ip.src == $address" 2 || status=1
exit $status
