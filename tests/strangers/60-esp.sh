#!/usr/bin/env bash
# ESP between two network namespaces, by default plane userspace at both ends (ESP_PLANES="CORE UE" names others): a UE on
# an address of its own for each pair of algorithms and each family, all at once. Each registers, subscribes (NOTIFY over
# TCP), sends itself a MESSAGE, refreshes, is authenticated again and de-registers. On the link there is nothing but ESP
# after the 401, and nothing is left afterwards.
set -u
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || { not_run "ESP needs root"; exit 0; }
read -r core_plane ue_plane <<<"${ESP_PLANES:-userspace userspace}"
need ip:iproute2 ss:iproute2 tcpdump:tcpdump setpriv:util-linux || exit 0
# Both ends have keys and packets of their own: what they write is read by tshark, and segments are sent in their name.
ours=
case "$core_plane $ue_plane" in "userspace userspace" | "unprivileged unprivileged") ours=1 ;; esac
[ -z "$ours" ] || need "$tshark" python3:python3 || exit 0
core=esp-p-$$ phones=esp-u-$$
ip netns add $core 2>/dev/null && ip netns add $phones || { not_run "network namespaces cannot be made here"; exit 0; }
work=$(mktemp -d "$target/esp.XXXXXX")
ues=() dump=
finish() {
    [ -n "$dump" ] && kill "$dump" 2>/dev/null
    for pid in "${ues[@]}"; do kill -KILL "$pid" 2>/dev/null; done
    stop_imsreg
    ip netns del $phones
    ip netns del $core
    rm -rf "$work"
}
trap finish EXIT
cd "$root" || exit 1
status=0
note() { if [ "$1" -eq 0 ]; then passed 1; else failure "esp: $2"; status=1; fi; }

ip link add esp0 netns $core type veth peer name esp1 netns $phones
ip -n $core -batch - <<B
link set lo up
link set esp0 up
addr add 10.91.0.1/24 dev esp0
addr add fd91::1/64 dev esp0 nodad
B
ip -n $phones link set lo up
ip -n $phones link set esp1 up
# filter NAMESPACE VALUE: the reverse path filter, 0 off, 1 strict, 2 loose as most distributions have it.
filter() { ip netns exec "$1" sh -c "echo $2 >/proc/sys/net/ipv4/conf/all/rp_filter"; }
filter $core 1
filter $phones 2

pairs=(hmac-md5-96/null hmac-md5-96/aes-cbc hmac-md5-96/des-ede3-cbc hmac-sha-1-96/null hmac-sha-1-96/aes-cbc
    hmac-sha-1-96/des-ede3-cbc aes-gmac/null null/aes-gcm)
realm=ims.mnc001.mcc001.3gppnetwork.org
serve=(--ipsec $core_plane --sec-agree required --sip 10.91.0.1:5060 --sip '[fd91::1]:5060' --hss-data hss-data/lab.yaml
    --control "$work/ctl" --set "pcscf.algorithms=[$(IFS=,; echo "${pairs[*]}")]" --set scscf.expires.min=2s)
own=$imsreg
imsreg=ip
start_core() { start_imsreg "$work/serve.log" netns exec $core "$own" serve "${serve[@]}" "$@" || { failure "imsreg serve --ipsec $core_plane"; exit 1; }; }
# What is there beyond the ends of the link: devices, default routes, rules of ours, sockets, SAs of the kernel.
left() {
    for space in $core $phones; do
        ip -n $space -o link | grep -vE ' (lo|esp[01]@if[0-9]+): '
        ip -n $space -6 route show default
        ip -n $space rule | grep -v 'from all lookup \(local\|main\|default\)'
        ip netns exec $space sh -c 'ss -Htuna; ss -Hwna; ip xfrm state; ip xfrm policy' | grep -v TIME-WAIT
    done
}

dump_to() { # dump_to FILE: what passes on the link
    ip netns exec $core tcpdump -U -ni esp0 -w "$1" 2>/dev/null &
    dump=$!
    for _ in $(seq 50); do [ -s "$1" ] && break; sleep 0.1; done
}
stop_dump() {
    kill "$dump"
    wait "$dump" 2>/dev/null
    dump=
}

# A segment through an SA for a connection that does not exist is answered through an SA: eight segments, eight answers.
# Small REGISTERs, so that there is no connection.
strays() {
    local end address source pcscf number sent
    dump_to "$work/strays.pcap"
    for end in '10.91.0.2 10.91.0.2 10.91.0.1:5060 1201' 'fd91::2 [fd91::2]:0 [fd91::1]:5060 1202'; do
        read -r address source pcscf number <<<"$end"
        case $address in *:*) ip -n $phones addr add $address/64 dev esp1 nodad ;; *) ip -n $phones addr add $address/24 dev esp1 ;; esac
        : >"$work/stray.$number"
        ip netns exec $phones "$own" register --ipsec userspace --pcscf "$pcscf" --source "$source" --stay --transport udp \
            --subscriber hss-data/lab.yaml --imsi 00101000000$number --set "ue.algorithms=[hmac-md5-96/null]" \
            --set "ue.features=;audio" --set ue.subscribe=false >"$work/stray.$number" 2>&1 &
        ues+=($!)
    done
    for _ in $(seq 100); do [ "$(cat "$work"/stray.* | grep -c ^registered)" -eq 2 ] && break; sleep 0.1; done
    "$own" sa --json --socket "$work/ctl" >"$work/sets"
    for end in "$core pcscf" "$phones ue"; do
        sent=$(ip netns exec ${end% *} python3 tests/strangers/stray.py "$work/first.pcapng.esp_sa" ${end#* } <"$work/sets")
        [ "$sent" = 4 ]; note $? "segments of nobody's connections sent by the ${end#* }: $sent"
    done
    answers() { tcpdump -nr "$work/strays.pcap" 2>/dev/null | grep -c 'ESP(.*, length 44'; }
    for _ in $(seq 50); do [ "$(answers)" -ge 8 ] && break; sleep 0.1; done
    stop_dump
    sent=$(tcpdump -nr "$work/strays.pcap" 2>/dev/null | grep -vE ' ESP\(|ICMP6|ARP|\.5060[: ]| frag ')
    [ "$(answers)" -eq 8 ] && [ -z "$sent" ]; note $? "segments of nobody's connections: $(answers) answers, in clear: $(head -3 <<<"$sent")"
    for pid in "${ues[@]}"; do kill -KILL "$pid"; wait "$pid"; done 2>/dev/null
    ues=()
}

# Killed, it leaves nothing, and the next run starts.
if [ "$core_plane $ue_plane" = "userspace userspace" ]; then
    start_core --capture "$work/first.pcapng" --set pcscf.full_list_in_401=false
    strays
else
    start_core
fi
case $core_plane in
    userspace) [ -n "$(ip -n $core -o link | grep ': imsreg')" ]; note $? "serve makes a device" ;;
    kernel) [ "$(ip -n $core xfrm policy | grep -c 'action block')" -ge 260 ]; note $? "walls beside 65 ports of two addresses" ;;
esac
kill -KILL "$imsreg_pid"
wait "$imsreg_pid" 2>/dev/null
imsreg_pid=
if [ $core_plane != kernel ]; then
    for _ in $(seq 50); do [ -z "$(left)" ] && break; sleep 0.1; done
    [ -z "$(left)" ]; note $? "left by a serve that was killed: $(left)"
fi
start_core ${ours:+--capture "$work/all.pcapng"}

# What is missing is said.
case $core_plane in userspace) capabilities=(net_admin net_raw) ;; kernel) capabilities=(net_admin) ;; *) capabilities=() ;; esac
for capability in "${capabilities[@]}"; do
    setpriv --bounding-set -$capability "$own" serve --ipsec $core_plane --sip 127.0.0.1:0 >"$work/lacks" 2>&1
    [ $? -eq 2 ] && grep -qi "cap_$capability" "$work/lacks"; note $? "without CAP_${capability^^}: $(tail -1 "$work/lacks")"
done
if [ $core_plane = userspace ]; then
    ip netns exec $core unshare -m sh -c 'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec "$@"' ro \
        "$own" serve --ipsec userspace --sip 10.91.0.1:0 >"$work/lacks" 2>&1
    [ $? -eq 2 ] && grep -q 'sysctl -w net.ipv4.conf.all.rp_filter=2' "$work/lacks"
    note $? "strict reverse path filter, settings read-only: $(tail -1 "$work/lacks")"
fi

dump_to "$work/link.pcap"
n=0
for pair in "${pairs[@]}"; do
    for family in 4 6; do
        if [ $family = 4 ]; then
            address=10.91.0.$((10 + n)) source=$address pcscf=10.91.0.1:5060
            ip -n $phones addr add $address/24 dev esp1
        else
            address=fd91::$((10 + n)) source="[$address]:0" pcscf='[fd91::1]:5060'
            ip -n $phones addr add $address/64 dev esp1 nodad
        fi
        imsi=$(printf '00101000000%04d' $((1000 + n)))
        : >"$work/ue.$n"
        # The first half over UDP, the second over TCP.
        ip netns exec $phones "$own" register --ipsec $ue_plane --pcscf "$pcscf" --source "$source" --json --stay --deregister \
            --subscriber hss-data/lab.yaml --imsi $imsi --message "sip:$imsi@$realm" --transport $([ $n -lt 8 ] && echo udp || echo tcp) \
            --set "ue.algorithms=[$pair]" --set ue.expires=8s --set ue.subscribe=true >"$work/ue.$n" 2>"$work/ue.$n.err" &
        ues+=($!)
        names+=("$pair over IPv$family") addresses+=("$address") imsis+=("$imsi")
        n=$((n + 1))
    done
done
count() { grep -c "$1" "$work/ue.$2"; }
# Waits until each UE has so many of something. Few programs are started: in a guest that is what takes the time.
all_have() {
    local end=$((SECONDS + 60)) i
    local files=()
    for i in "${!ues[@]}"; do files+=("$work/ue.$i"); done
    while ! grep -c "$1" "${files[@]}" | awk -F: -v least="$2" '$NF < least { exit 1 }'; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.2
    done
}
all_have '"event":"request-answered".*MESSAGE' 1
all_have '"label":"200 OK".*expires 8' 3
for imsi in "${imsis[@]}"; do "$own" ctl --socket "$work/ctl" reauth "sip:$imsi@$realm" --within 8 >/dev/null; done
all_have '"event":"sa-established"' 2
for i in "${!ues[@]}"; do kill -INT "${ues[$i]}"; done
for i in "${!ues[@]}"; do
    wait "${ues[$i]}"
    code=$?
    registered=$(count '"label":"200 OK".*expires 8' "$i") challenged=$(count '"label":"401' "$i") sets=$(count '"event":"sa-established"' "$i")
    notified=$(grep '"label":"NOTIFY' "$work/ue.$i" | grep -c '"transport":"TCP"') answered=$(count '"event":"request-answered".*MESSAGE' "$i")
    received=$(count '"event":"message-received"' "$i") gone=$(count '"event":"deregistered"' "$i")
    says="${names[$i]}: exit status $code, $registered registrations, $challenged challenges, $sets sets, $notified NOTIFY over TCP, $received MESSAGE taken, $answered answered, $gone de-registrations"
    echo "$says"
    [ $code -eq 0 ] && [ "$registered" -ge 3 ] && [ "$challenged" -ge 2 ] && [ "$sets" -ge 2 ] && [ "$notified" -ge 1 ] &&
        [ "$received" -eq 1 ] && [ "$answered" -eq 1 ] && [ "$gone" -eq 1 ]
    note $? "$says $(tail -2 "$work/ue.$i.err")"
done
ues=()
stop_dump
stop_imsreg
note $? "imsreg serve did not stop in order: $(tail -1 "$work/serve.log")"

# What tshark reads under ESP with our keys is what the interface `clear` has.
if [ -n "$ours" ]; then
    mkdir "$work/profile" && cp "$work/all.pcapng.esp_sa" "$work/profile/esp_sa"
    decode=()
    for ports in 6100 5100-5163; do decode+=(-d "tcp.port==$ports,sip" -d "udp.port==$ports,sip"); done
    opened() {
        WIRESHARK_CONFIG_DIR=$work/profile tshark -o esp.enable_encryption_decode:TRUE \
            -o esp.enable_authentication_check:TRUE "${decode[@]}" "$@" 2>/dev/null
    }
    # tshark does not know aes-gmac.
    unknown=
    for i in "${!addresses[@]}"; do
        case ${names[$i]} in aes-gmac*IPv4) unknown+=" || ip.addr == ${addresses[$i]}" ;; aes-gmac*) unknown+=" || ipv6.addr == ${addresses[$i]}" ;; esac
    done
    # Apart, because a TCP connection that is on both interfaces is one for tshark.
    for interface in wire clear; do
        opened -r "$work/all.pcapng" -Y "frame.interface_name == \"$interface\" && !(${unknown# || })" -w "$work/$interface"
    done
    fields=(-T fields -E occurrence=f -e ip.src -e ip.dst -e ipv6.src -e ipv6.dst -e sip.Call-ID -e sip.CSeq -e sip.Status-Code -e sip.Via -e sip.Content-Length)
    opened -r "$work/wire" -Y 'esp && sip.CSeq' "${fields[@]}" | sort >"$work/wire.txt"
    opened -r "$work/clear" -Y sip.CSeq "${fields[@]}" | sort >"$work/clear.txt"
    bad=$(opened -r "$work/wire" -Y 'esp && !(esp.icv_good == 1)' | wc -l)
    echo "tshark: $(opened -r "$work/wire" -Y esp | wc -l) ESP packets, $bad without a good ICV, $(wc -l <"$work/wire.txt") SIP messages in them, $(wc -l <"$work/clear.txt") on the interface clear"
    [ "$bad" -eq 0 ] && [ "$(wc -l <"$work/clear.txt")" -ge 200 ] && cmp -s "$work/wire.txt" "$work/clear.txt"
    note $? "tshark reads under ESP what is on the interface clear: $(diff "$work/wire.txt" "$work/clear.txt" | head -3)"
fi

# After the first ESP of a UE no octet of its data is in clear; before, only port 5060 is spoken to.
tcpdump -nr "$work/link.pcap" 2>/dev/null >"$work/link"
for i in "${!addresses[@]}"; do
    # A part of a large ESP packet in UDP names no port.
    awk -v ue="${addresses[$i]}" -v in_udp=$([ $core_plane = unprivileged ] && echo 1) '
        { from = $3; to = $5; sub(/:$/, "", to); sub(/,$/, "", to); ours = 0 }
        $2 !~ /^IP6?$/ { next }
        $2 == "IP" { if (index(from ".", ue ".") == 1 || index(to ".", ue ".") == 1) ours = 1 }
        $2 == "IP6" { if (from == ue || to == ue || index(from, ue ".") == 1 || index(to, ue ".") == 1) ours = 1 }
        !ours || / ICMP6?,? / { next }
        / ESP\(| ip-proto-50/ { esp++; next }
        # A part of a 401 over UDP.
        (!esp || in_udp) && / ip-proto-17| frag / { next }
        / frag \([1-9]/ { next }
        # The REGISTER in clear was sent again while SAs were made, and so was its answer, which may be in clear (TS 33.203
        # clause 7.1): over IPv6 its first part names ports behind `frag`, over IPv4 the second names none.
        / frag \(0\|[0-9]+\) 5060 > .* 401 / { next }
        from ~ /\.5060$/ && / 401 / { again = 1; next }
        again && / ip-proto-17/ { again = 0; next }
        !(from ~ /\.5060$/ || to ~ /\.5060$/) { bad = bad "\n" $0; next }
        esp && / length [1-9]/ { bad = bad "\n" $0 }
        END { if (esp < 20 || bad != "") { print esp + 0 " ESP packets, in clear:" bad; exit 1 } }' "$work/link" >"$work/judged"
    note $? "link of ${names[$i]}: $(head -3 "$work/judged")"
done
echo "$(grep -c ' ESP(' "$work/link") ESP packets on the link, $(grep -c ' > .*\.5060: \|\.5060 > ' "$work/link") of port 5060"
for _ in $(seq 50); do [ -z "$(left)" ] && break; sleep 0.1; done
[ -z "$(left)" ]; note $? "left behind: $(left)"
exit $status
