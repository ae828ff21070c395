#!/usr/bin/env bash
# Two linphonec register with SIP digest at our core; one sends a message to the other, calls it and hangs up. Then once
# more where the core offers SHA-256 first and asks for the password again with every request (407).
set -u
. "$(dirname "$0")/lib.sh"
need "$linphone" "$tshark" || exit 0
work=$(mktemp -d "$target/linphone.XXXXXX")
pids=()
stop_phones() {
    exec 7>&- 8>&-
    for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null; done
    pids=()
}
trap 'stop_phones; stop_imsreg; rm -rf "$work"' EXIT
linphonec --version 2>/dev/null | sed -n 's/^version: */linphonec /p'
status=0 core=127.0.6.1

# phone NAME SIP-PORT RTP-PORT FD ARGUMENT ...: starts it; its commands go to FD.
phone() {
    local name=$1 home=$work/$1
    rm -rf "$home"
    mkdir -p "$home/.local/share/linphone"
    cat >"$home/rc" <<RC
[sip]
sip_port=$2
sip_tcp_port=0
sip_tls_port=0
default_proxy=0
register_only_when_network_is_up=0
auto_net_state_mon=0
guess_hostname=0
use_ipv6=0
contact=sip:$name@127.0.0.1
[rtp]
audio_rtp_port=$3
[proxy_0]
reg_proxy=<sip:$core:5060>
reg_route=<sip:$core:5060;lr>
reg_identity=sip:$name@ims.test
reg_expires=3600
reg_sendregister=1
[auth_info_0]
username=$name
userid=$name@ims.test
passwd=secret-of-$name
realm=ims.test
domain=ims.test
RC
    mkfifo "$home/commands"
    HOME=$home linphonec -c "$home/rc" -d 6 -l "$home/log" "${@:5}" <"$home/commands" >"$home/out" 2>&1 &
    pids+=($!)
    eval "exec $4>\"\$home/commands\""
}
# seen WHAT FILE PATTERN: within 20 s.
seen() {
    local i
    for i in $(seq 200); do
        if grep -q "$3" "$work/$2" 2>/dev/null; then
            passed 1
            echo "linphone, $digest: $1"
            return
        fi
        read -rt 0.1 <> <(:) || :
    done
    failure "linphone, $digest: $1"
    tail -n 5 "$work/alice/out" "$work/bob/out" "$work/$2" >&2
    status=1
}

# The phones have 127.0.0.1: what comes from the address of the core is the core.
# lives DIGEST ARGUMENT ...: the life of both phones at a core with these subscribers and arguments.
lives() {
    digest=$1
    serve_two_phones "$@"
    phone alice 5085 7078 7
    phone bob 5086 7178 8 -a
    for name in alice bob; do seen "$name is registered with digest" $name/log 'LinphoneRegistrationProgress\] to \[LinphoneRegistrationOk'; done
    echo "soundcard use files" >&7
    echo "soundcard use files" >&8
    echo "chat sip:bob@ims.test Dinner at eight" >&7
    seen "bob has the message" bob/out 'Dinner at eight'
    echo "call sip:bob@ims.test" >&7
    seen "alice's call is answered" alice/out 'Call 1 with .* connected'
    seen "media is agreed" bob/log 'LinphoneCallStreamsRunning'
    echo "terminate" >&7
    seen "bob hears the end of the call" bob/out 'Call 1 with .* ended (No error)'
    echo "unregister" >&7
    echo "unregister" >&8
    for name in alice bob; do seen "$name is de-registered" $name/log 'to \[LinphoneRegistrationCleared'; done
    echo "quit" >&7
    echo "quit" >&8
    left=$("$imsreg" ctl --socket "$work/ctl" registrations | sed -n '1s/ .*//p')
    if [ "$left" = 0 ]; then passed 1; else failure "linphone, $digest: $left sets are left in the S-CSCF"; status=1; fi
    stop_phones
    stop_imsreg || { failure "imsreg serve did not stop in order"; status=1; }
    bash "$(dirname "$0")/tshark.sh" "$work/all.pcapng" 40 12 || status=1
}

lives '{}'
lives '{algorithm: SHA-256}' --set scscf.proxy_auth=true
# Of each phone at least a registration and its end; of alice MESSAGE and INVITE.
credentials "linphone, SHA-256 in Authorization" "$work/all.pcapng" \
    'sip.Method == "REGISTER" && sip.auth.algorithm == "SHA-256" && sip.auth.digest.response && ip.src == 127.0.0.1' 4 || status=1
credentials "linphone, SHA-256 in Proxy-Authorization" "$work/all.pcapng" \
    'sip.Proxy-Authorization && sip.auth.algorithm == "SHA-256" && ip.src == 127.0.0.1' 2 || status=1
exit $status
