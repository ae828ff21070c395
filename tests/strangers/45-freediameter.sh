#!/usr/bin/env bash
# Two freeDiameter relays between our CSCFs and our HSS: CER and DWR in both directions, DPR of either side, failover when
# a relay leaves in order and when it falls silent while a MAR waits for its answer, and the way back.
set -u
. "$(dirname "$0")/lib.sh"
need "${freediameter[@]}" ip:iproute2 "$tshark" || exit 0
work=$(mktemp -d "$target/freediameter.XXXXXX")
declare -A relay
# They name their addresses in CER and CEA, and take none of 127/8 for one.
own_address || exit 0
hss=
stop_all() {
    for pid in "${relay[@]}"; do kill -CONT "$pid" 2>/dev/null; kill -TERM "$pid" 2>/dev/null; done
    for pid in "${relay[@]}"; do wait "$pid" 2>/dev/null; done
    stop_imsreg
    imsreg_pid=$hss
    stop_imsreg
    rm -rf "$work"
}
trap stop_all EXIT
freeDiameterd --version | sed -n 1p
realm=ims.mnc001.mcc001.3gppnetwork.org h=127.0.4.4 status=0 next_ue=0

openssl genpkey -genparam -algorithm DH -pkeyopt group:ffdhe2048 -out "$work/dh.pem" 2>/dev/null
cat >"$work/subscribers.yaml" <<YAML
subscribers:
  - {imsi: "001010000001000", range: 100, k: "4b{imsi}", op: 30313233343536373839616263646566}
YAML
# Our CSCFs come without TLS; everything for the realm goes to our HSS, but what the HSS asks itself.
printf 'ALLOW_IPSEC icscf.%s scscf.%s\n' $realm $realm >"$work/acl.conf"
printf 'dr="%s" : "hss.%s" += 200;\n' $realm $realm >"$work/route.conf"
for n in 1 2; do
    # It does not start without a certificate, though it needs none here.
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=relay$n.relay.test -keyout "$work/key$n.pem" \
        -out "$work/cert$n.pem" 2>/dev/null
    cat >"$work/relay$n.conf" <<CONF
Identity = "relay$n.relay.test";
Realm = "relay.test";
Port = 387$n;
SecPort = 0;
No_SCTP;
No_IPv6;
ListenOn = "$address";
TcTimer = 6;
TwTimer = 6;
TLS_Cred = "$work/cert$n.pem", "$work/key$n.pem";
TLS_CA = "$work/cert$n.pem";
TLS_DH_File = "$work/dh.pem";
LoadExtension = "acl_wl.fdx" : "$work/acl.conf";
LoadExtension = "rt_default.fdx" : "$work/route.conf";
ConnectPeer = "hss.$realm" { ConnectTo = "$h"; Port = 3868; No_TLS; };
CONF
done
start_relay() {
    freeDiameterd -c "$work/relay$1.conf" >>"$work/relay$1.log" 2>&1 &
    relay[$1]=$!
}

# until WHAT SECONDS COMMAND ...: it succeeds in that time.
until_true() {
    local what=$1 i
    for i in $(seq $(($2 * 10))); do
        "${@:3}" && return 0
        read -rt 0.1 <> <(:) || :
    done
    failure "$what: not within $2 s"
    status=1
    return 1
}
# seen LOG TIMES PATTERN: so many lines of this element are such.
seen() { [ "$(grep -c "$3" "$1" || :)" -ge "$2" ]; }
# cscfs RELAY LABEL TIMES: so many of these messages between our CSCFs and the relay.
cscfs() { seen "$work/cscf.log" "$3" "387$1\".*\"label\":\"$2\""; }
hss_has() { seen "$work/hss.log" "$2" "\"peer-open\".*relay$1"; }

registers() { # registers WHAT: one more UE
    local imsi k
    imsi=$(printf '00101%010d' $((1000 + next_ue)))
    k=$(printf 'K%s' "$imsi" | od -An -tx1 | tr -d ' \n')
    next_ue=$((next_ue + 1))
    if "$imsreg" register --pcscf 127.0.4.3:5060 --source 127.0.4.$((10 + next_ue)) --imsi "$imsi" --k "$k" --realm $realm \
        --op 30313233343536373839616263646566 --sec-agree off --timeout 60 >"$work/ue.log" 2>&1; then
        passed 1
        echo "registered: $1"
    else
        failure "$1: $(tail -1 "$work/ue.log")"
        status=1
    fi
}

timers=(--set limits.longest_wait=30s --set diameter.watchdog=6s --set diameter.reconnect=2s --set diameter.request_timeout=30s)
start_imsreg "$work/hss.log" serve --profile lab --only hss --realm $realm --diameter $h:3868 --hss-data "$work/subscribers.yaml" \
    --json --control "$work/hss.ctl" --capture "$work/hss.pcapng" "${timers[@]}" || { failure "imsreg serve --only hss"; exit 1; }
hss=$imsreg_pid imsreg_pid=
start_relay 1
start_relay 2
until_true "the relays and our HSS" 20 hss_has 1 1 && until_true "the relays and our HSS" 20 hss_has 2 1 ||
    { tail -n 5 "$work"/relay*.log "$work/hss.log" >&2; exit 1; }
start_imsreg "$work/cscf.log" serve --profile lab --only pcscf,icscf,scscf --realm $realm --sip 127.0.4.3:5060 --sec-agree offered \
    --hss "$address:3871" --hss "$address:3872" --json --control "$work/cscf.ctl" --capture "$work/cscf.pcapng" "${timers[@]}" ||
    { failure "imsreg serve --only pcscf,icscf,scscf"; exit 1; }
for n in 1 2; do
    until_true "our CSCFs and relay $n" 20 cscfs $n CEA 2 || { tail -n 5 "$work/relay$n.log" "$work/cscf.log" >&2; exit 1; }
done
registers "through relay 1"

kill -TERM "${relay[1]}"
wait "${relay[1]}"
until_true "relay 1 has left" 10 cscfs 1 DPA 2
registers "through relay 2, relay 1 has left (DPR)"
start_relay 1
until_true "relay 1 is back at our CSCFs" 20 cscfs 1 CEA 4
until_true "relay 1 is back at our HSS" 20 hss_has 1 2
registers "through relay 1, which is back"

kill -STOP "${relay[1]}"
registers "relay 1 silent in the middle (watchdog, T flag)"
kill -CONT "${relay[1]}"
stop_imsreg || { failure "imsreg serve (CSCFs) did not stop in order"; status=1; }
imsreg_pid=$hss hss=
stop_imsreg || { failure "imsreg serve --only hss did not stop in order"; status=1; }

# count FILTER FILE: Diameter messages.
count() { tshark -r "$work/$2.pcapng" -d tcp.port==3871-3872,diameter -Y "$1" -T fields -e diameter.cmd.code 2>/dev/null | wc -l; }
for side in cscf hss; do
    echo "$side: $(for c in 257:CE 280:DW 282:DP; do
        printf '%s %s, %s %s, ' "${c#*:}R" "$(count "diameter.cmd.code == ${c%:*} && diameter.flags.request == 1" $side)" \
            "${c#*:}A" "$(count "diameter.cmd.code == ${c%:*} && diameter.flags.request == 0" $side)"
    done)T flag $(count 'diameter.flags.T == 1' $side), Route-Record $(count diameter.Route-Record $side)"
done
for wanted in 'diameter.flags.T == 1:cscf' 'diameter.Route-Record:hss' 'diameter.cmd.code == 280 && diameter.flags.request == 0:cscf' \
    'diameter.cmd.code == 280 && diameter.flags.request == 0:hss' 'diameter.cmd.code == 282 && diameter.flags.request == 0:cscf'; do
    if [ "$(count "${wanted%:*}" "${wanted##*:}")" -gt 0 ]; then passed 1; else failure "no message in ${wanted##*:}: ${wanted%:*}"; status=1; fi
done
bash "$(dirname "$0")/tshark.sh" "$work/cscf.pcapng" 24 20 || status=1
bash "$(dirname "$0")/tshark.sh" "$work/hss.pcapng" 0 20 || status=1
exit $status
