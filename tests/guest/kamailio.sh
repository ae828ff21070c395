#!/usr/bin/env bash
# Kamailio's P-CSCF with the ESP of this kernel (ims_ipsec_pcscf), behind it our I-CSCF, S-CSCF and HSS. Our UE, with plane
# userspace and with plane kernel, over UDP and IPv4 and over TCP and IPv6, with the pairs of algorithms that this P-CSCF
# installs rightly, registers, subscribes, sends itself a MESSAGE, is authenticated again and de-registers: all of it in ESP,
# but for one thing that this P-CSCF does wrong (see below).
set -u
. "$(dirname "$0")/../strangers/lib.sh"
shared peers/kamailio/pcscf-ipsec.cfg || exit 0
need "${kamailio[@]}" ip:iproute2 tcpdump:tcpdump "$ss" || exit 0
. "$(dirname "$0")/kamailio.lib"
core=kam-p phones=kam-u work=$(mktemp -d "$target/kamailio-esp.XXXXXX")
dump= ues=() names=() files=() addresses=() answers=()
finish() {
    [ -n "$dump" ] && kill "$dump" 2>/dev/null
    for pid in "${ues[@]}"; do kill -KILL "$pid" 2>/dev/null; done
    esp_finish
}
trap finish EXIT
cd "$root" || exit 1
status=0
note() { if [ "$1" -eq 0 ]; then passed 1; else failure "kamailio: $2"; status=1; fi; }
kamailio -v | sed -n '1s/^version: \(.*\) (.*/\1/p'

esp_network || exit 1
esp_core || { failure "imsreg serve"; exit 1; }
esp_kamailio 24 || { failure "kamailio did not start: $(tail -1 "$work/pcscf.log")"; exit 1; }
ip netns exec $core tcpdump -U -ni kam0 -w "$work/link.pcap" 2>/dev/null &
dump=$!
for _ in $(seq 50); do [ -s "$work/link.pcap" ] && break; sleep 0.1; done

# Waits until each UE has so many of something.
all_have() {
    local end=$((SECONDS + 60))
    while ! grep -c "$1" "${files[@]}" | awk -F: -v least="$2" '$NF < least { exit 1 }'; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.2
    done
}
# phone NAME PLANE N IMSI PAIR ARGUMENT ...: a UE in the background, over UDP and IPv4, or with an odd N over TCP and IPv6; what
# it says is in $work/NAME. Of several pairs of algorithms this P-CSCF takes the last, and it takes a first REGISTER that is
# not from port 5060 for a re-registration.
phone() {
    local name=$1 plane=$2 n=$3 imsi=$4 pair=$5 transport=udp source pcscf=$p:5060 k
    shift 5
    k=$(printf 'K%s' "$imsi" | od -An -tx1 | tr -d ' \n')
    address=10.93.0.$((10 + n)) source=10.93.0.$((10 + n)):5060
    if [ $((n % 2)) -eq 1 ]; then
        address=fd93::$((10 + n)) source="[fd93::$((10 + n))]:5060" pcscf="[$p6]:5060" transport=tcp
        ip -n $phones addr add $address/64 dev kam1 nodad
    else
        ip -n $phones addr add $address/16 dev kam1
    fi
    : >"$work/$name"
    ip netns exec $phones "$own" register --ipsec $plane --pcscf "$pcscf" --source "$source" --transport $transport --realm ims.test \
        --imsi "$imsi" --k "$k" --op 30313233343536373839616263646566 --json --set "ue.algorithms=[$pair]" "$@" \
        >"$work/$name" 2>"$work/$name.err" &
    ues+=($!)
}
# Wrong: it agrees to aes-gcm and installs hmac-sha-1-96 with null (TS 33.203 annex I). Nothing of the UE may get through then,
# and nothing may go in clear instead.
phone gcm kernel 20 001010000001020 null/aes-gcm --timeout 12
wait "${ues[0]}"
code=$?
ues=()
sealed=$(grep -c '"protected":true.*"label":"REGISTER"' "$work/gcm") clear=$(grep -c '"protected":false.*"label":"REGISTER".*response ' "$work/gcm")
installed=$(ip -n $core xfrm state | grep -oE 'rfc4106|hmac\(sha1\)|ecb\(cipher_null\)' | sort -u | tr '\n' ' ')
says="null/aes-gcm: $installed installed, exit status $code, $sealed REGISTERs in ESP, $clear answers to the challenge in clear: $(tail -1 "$work/gcm.err")"
echo "$says"
case $installed in *rfc4106*) expected=0 ;; *) expected=1 ;; esac
[ $code -eq $expected ] && [ "$sealed" -ge 1 ] && [ "$clear" -eq 0 ]; note $? "$says"

n=0
for pair in userspace:hmac-sha-1-96/aes-cbc userspace:hmac-md5-96/aes-cbc kernel:hmac-sha-1-96/null kernel:hmac-md5-96/aes-cbc \
    kernel:hmac-sha-1-96/aes-cbc userspace:hmac-md5-96/null; do
    imsi=$(printf '00101%010d' $((1000 + n)))
    phone ue.$n ${pair%:*} $n $imsi ${pair#*:} --stay --deregister --message "sip:$imsi@ims.test" --set ue.subscribe=true --set ue.expires=24s
    names+=("plane ${pair%:*}, ${pair#*:}, $([ $((n % 2)) -eq 0 ] && echo UDP || echo TCP)") files+=("$work/ue.$n") addresses+=($address)
    n=$((n + 1))
done
all_have '"event":"sa-established"' 2
for pid in "${ues[@]}"; do kill -INT "$pid"; done
for i in "${!ues[@]}"; do
    wait "${ues[$i]}"
    code=$?
    count() { grep -c "$1" "${files[$i]}"; }
    registered=$(count '"event":"registered"') sets=$(count '"event":"sa-established"') gone=$(count '"event":"deregistered"')
    subscribed=$(count '"event":"request-answered".*SUBSCRIBE.*"status":200') notified=$(count '"protected":true.*"label":"NOTIFY"')
    received=$(count '"event":"message-received"') answered=$(count '"event":"request-answered".*MESSAGE.*"status":200')
    says="${names[$i]}: exit status $code, $registered registrations, $sets sets, $subscribed subscription, $notified NOTIFY, $received MESSAGE taken, $answered answered, $gone de-registration"
    echo "$says"
    [ $code -eq 0 ] && [ "$registered" -ge 2 ] && [ "$sets" -ge 2 ] && [ "$subscribed" -ge 1 ] && [ "$notified" -ge 1 ] &&
        [ "$received" -eq 1 ] && [ "$gone" -eq 1 ]
    note $? "$says $(tail -2 "${files[$i]}.err") $(grep -v clean_ "$work/pcscf.log" | tail -3)"
    answers+=("$answered")
done
ues=()
kill "$dump"
wait "$dump" 2>/dev/null
dump=

# Wrong, and the only thing in clear: it finds the UE of an answer by the Contact of that answer, which the 200 to a MESSAGE
# has not. Over UDP it sends such an answer from port_ps without the set (TS 33.203 clause 7.1: from port_pc through SA 2),
# and the UE must not take it (clause 7.2). Over TCP the connection leads it right.
tcpdump -nr "$work/link.pcap" 2>/dev/null >"$work/link"
for i in "${!addresses[@]}"; do
    awk -v ue="${addresses[$i]}" '
        function is_ue(end) { return index(end ".", ue ".") == 1 }
        { from = $3; to = $5; sub(/:$/, "", to) }
        $2 !~ /^IP6?$/ || / ICMP6?,? / || !(is_ue(from) || is_ue(to)) { next }
        / ESP\(| ip-proto-50/ { esp++; next }
        # Before the set, and the end of the first connection.
        (from ~ /\.5060$/ || to ~ /\.5060$/) && (!esp || / length 0$/) { next }
        # See docs/planes.md.
        / Flags \[R\.?\], .* length 0/ { next }
        from ~ /\.61[0-9][0-9]$/ && / UDP, / { wrong++; next }
        { bad = bad "\n" $0 }
        END { print wrong + 0; if (esp < 10 || bad != "") { print esp + 0 " ESP packets, in clear:" bad; exit 1 } }' "$work/link" >"$work/judged"
    note $? "link of ${names[$i]}: $(sed -n 2,4p "$work/judged")"
    wrong=$(head -1 "$work/judged")
    [ "$wrong" -gt 0 ] && echo "${names[$i]}: the answer to MESSAGE came $wrong times in clear (TS 33.203 clause 7.1) and was not taken"
    # Taken where it comes in ESP, and only there.
    [ "${answers[$i]}" -eq $((wrong == 0)) ]; note $? "${names[$i]}: answer to MESSAGE in clear $wrong times, taken ${answers[$i]} times"
done
echo "$(grep -c ' ESP(' "$work/link") ESP packets on the link"
left=$(ip netns exec $phones sh -c 'ip xfrm state; ip xfrm policy; ss -Htuna; ss -Hwna; ip -o link | grep imsreg' | grep -v TIME-WAIT)
[ -z "$left" ]; note $? "left by the UEs: $left"
# What it keeps after a challenged de-registration is not ours to judge.
echo "$(ip -n $core xfrm state | grep -c ' spi ') states left at Kamailio"
stop_imsreg
note $? "imsreg serve did not stop in order: $(tail -1 "$work/serve.log")"
exit $status
