#!/usr/bin/env bash
# ESP in UDP through NATs (TS 33.203 annex M), by default plane userspace at both ends (ESP_PLANES="CORE UE"): a P-CSCF, two NATs of the kernel (nftables,
# other ports outside than inside, datagrams forgotten after 25 s), and behind each a UE with the same private address; a
# third one beside the first. They register, send themselves a MESSAGE, refresh, hear a NOTIFY after more than 40 s of
# silence, are authenticated again, live through NATs that have lost all mappings, and de-register. Outside there is nothing
# but ESP in UDP after the 401, and nothing is left afterwards. A UE that offers no tunnel is told why it is refused.
set -u
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || { not_run "ESP needs root"; exit 0; }
read -r core_plane ue_plane <<<"${ESP_PLANES:-userspace userspace}"
need ip:iproute2 ss:iproute2 tcpdump:tcpdump nft:nftables || exit 0
core=nat-p-$$
spaces=($core nat-n1-$$ nat-n2-$$ nat-u1-$$ nat-u2-$$)
for space in "${spaces[@]}"; do
    ip netns add "$space" 2>/dev/null || { not_run "network namespaces cannot be made here"; exit 0; }
done
work=$(mktemp -d "$target/nat.XXXXXX")
ues=() dump=
finish() {
    [ -n "$dump" ] && kill "$dump" 2>/dev/null
    for pid in "${ues[@]}"; do kill -KILL "$pid" 2>/dev/null; done
    stop_imsreg
    for space in "${spaces[@]}"; do ip netns del "$space"; done
    rm -rf "$work"
}
trap finish EXIT
cd "$root" || exit 1
status=0
note() { if [ "$1" -eq 0 ]; then passed 1; else failure "esp through a NAT: $2"; status=1; fi; }

# The P-CSCF 203.0.113.1 on a link of its own to each NAT; the homes look alike.
ip -n $core link set lo up
for home in 1 2; do
    nat=nat-n$home-$$ phones=nat-u$home-$$
    ip link add core$home netns $core type veth peer name out0 netns $nat
    ip link add in0 netns $nat type veth peer name phone0 netns $phones
    ip -n $core -batch - <<B
link set core$home up
addr add 203.0.113.1/32 dev core$home
route add 198.51.100.$home/32 dev core$home src 203.0.113.1
B
    ip -n $nat -batch - <<B
link set lo up
link set out0 up
link set in0 up
addr add 198.51.100.$home/32 dev out0
route add 203.0.113.1/32 dev out0 src 198.51.100.$home
addr add 192.168.7.1/24 dev in0
B
    ip -n $phones -batch - <<B
link set lo up
link set phone0 up
addr add 192.168.7.2/24 dev phone0
addr add 192.168.7.3/24 dev phone0
route add default via 192.168.7.1
B
    ip netns exec $nat nft -f - <<'N' 2>"$work/nft" || { not_run "a NAT cannot be made here: $(head -1 "$work/nft")"; exit 0; }
table ip nat {
    chain out {
        type nat hook postrouting priority srcnat
        oifname "out0" meta l4proto { tcp, udp } masquerade to :40000-49999 random
    }
}
N
    ip netns exec $nat sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward
        for timeout in udp_timeout udp_timeout_stream; do echo 25 >/proc/sys/net/netfilter/nf_conntrack_$timeout; done' ||
        { not_run "a NAT cannot be made here"; exit 0; }
done

realm=ims.mnc001.mcc001.3gppnetwork.org
own=$imsreg
imsreg=ip
start_imsreg "$work/serve.log" netns exec $core "$own" serve --ipsec $core_plane --sec-agree required --sip 203.0.113.1:5060 \
    --hss-data hss-data/lab.yaml --control "$work/ctl" --json --set scscf.expires.min=2s || { failure "imsreg serve --ipsec $core_plane"; exit 1; }
left() {
    for space in "${spaces[@]}"; do
        ip -n "$space" -o link | grep -vE ' (lo|core[12]@if[0-9]+|out0@if[0-9]+|in0@if[0-9]+|phone0@if[0-9]+): '
        ip -n "$space" rule | grep -v 'from all lookup \(local\|main\|default\)'
        ip netns exec "$space" sh -c 'ss -Htuna; ss -Hwna' | grep -v TIME-WAIT
    done
}
for _ in $(seq 50); do [ -s "$work/link.pcap" ] && break; [ -n "$dump" ] || { ip netns exec $core tcpdump -U -ni any -w "$work/link.pcap" 2>/dev/null & dump=$!; }; sleep 0.1; done

# phone NAME HOME ADDRESS IMSI FLAGS..
phone() {
    local name=$1 home=$2 address=$3 imsi=$4
    shift 4
    : >"$work/$name"
    ip netns exec nat-u$home-$$ "$own" register --ipsec $ue_plane --pcscf 203.0.113.1:5060 --source "$address" --json --stay \
        --deregister --subscriber hss-data/lab.yaml --imsi "$imsi" --set ue.subscribe=true "$@" >"$work/$name" 2>"$work/$name.err" &
    ues+=($!)
}
small=(--transport udp --set 'ue.algorithms=[hmac-md5-96/null]' --set 'ue.features=;audio' --set ue.instance=urn:x)
both=(--set 'ue.modes=[trans, UDP-enc-tun]')

# Without the offer: refused, with the cause in words, and nothing was sealed.
ip netns exec nat-u1-$$ "$own" register --ipsec $ue_plane --pcscf 203.0.113.1:5060 --source 192.168.7.2 --subscriber hss-data/lab.yaml \
    --imsi 001010000001009 >"$work/bare" 2>&1
[ $? -eq 1 ] && grep -q 494 "$work/bare" && grep -q 'behind a NAT, at 192.168.7.2' "$work/serve.log"
note $? "a UE without the offer: $(tail -1 "$work/bare")"

names=(refreshing silent neighbour)
imsis=(001010000001001 001010000001002 001010000001003)
phone refreshing 1 192.168.7.2 ${imsis[0]} "${both[@]}" "${small[@]}" --set ue.expires=12s --message "sip:${imsis[0]}@$realm"
# Not over UDP: all pairs of algorithms in both modes do not fit.
phone silent 2 192.168.7.2 ${imsis[1]} "${both[@]}" --set ue.expires=600s --message "sip:${imsis[1]}@$realm"
phone neighbour 1 192.168.7.3 ${imsis[2]} "${both[@]}" "${small[@]}" --set ue.expires=600s --message "sip:${imsis[2]}@$realm"
count() { grep -c "$1" "$work/$2"; }
has_within() { # has_within SECONDS FILE PATTERN COUNT
    local end=$((SECONDS + $1))
    while [ "$(count "$3" "$2")" -lt "$4" ]; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.2
    done
}
for name in "${names[@]}"; do
    has_within 20 $name '"event":"message-received"' 1 && has_within 5 $name '"event":"request-answered".*MESSAGE' 1
    note $? "$name registers and gets a MESSAGE: $(tail -2 "$work/$name.err")"
done
"$own" sa --json --socket "$work/ctl" >"$work/sets"
[ "$(grep -o '"nat":"198.51.100.1"' "$work/sets" | wc -l)" -eq 2 ] && [ "$(grep -o '"nat":"198.51.100.2"' "$work/sets" | wc -l)" -eq 1 ]
note $? "imsreg sa names the NATs: $(cat "$work/sets")"

# Two keep-alives of each NAT's tunnels: whoever has been silent for so long is reached by nothing else.
keep_alives() { tcpdump -nr "$work/link.pcap" 2>/dev/null | grep -c "198.51.100.$1\.[0-9]* > 203.0.113.1.4500: isakmp-nat-keep-alive"; }
for _ in $(seq 600); do [ "$(keep_alives 2)" -ge 2 ] && break; sleep 0.1; done
[ "$(keep_alives 2)" -ge 2 ]; note $? "keep-alives: $(keep_alives 2) of the silent one"
has_within 5 refreshing '"label":"200 OK".*expires 12' 4; note $? "the refreshing one has refreshed: $(count '"label":"200 OK".*expires 12' refreshing)"
for i in 1 2; do "$own" ctl --socket "$work/ctl" reauth "sip:${imsis[$i]}@$realm" --within 8 >/dev/null; done
for name in silent neighbour; do
    has_within 20 $name '"event":"sa-established"' 2 && [ "$(count '"label":"401' $name)" -ge 2 ]
    note $? "$name hears a NOTIFY after its silence and is authenticated again: $(tail -2 "$work/$name.err")"
done

# A NAT whose link was down has forgotten everything. The next packet of the UE makes another mapping.
before=$(count '"label":"200 OK".*expires 12' refreshing)
ports() { tcpdump -nr "$work/link.pcap" 2>/dev/null | sed -n 's/.* 198.51.100.1\.\([0-9]*\) > 203.0.113.1.4500: UDP-encap.*/\1/p' | sort -u | wc -l; }
mapped=$(ports)
ip -n nat-n1-$$ link set out0 down
ip -n nat-n1-$$ -batch - <<'B'
link set out0 up
route add 203.0.113.1/32 dev out0 src 198.51.100.1
B
has_within 30 refreshing '"label":"200 OK".*expires 12' $((before + 2)); note $? "refreshes through new mappings: $(tail -2 "$work/refreshing.err")"
[ "$(ports)" -gt "$mapped" ]; note $? "ports outside: $mapped before, $(ports) after"
"$own" ctl --socket "$work/ctl" reauth "sip:${imsis[0]}@$realm" --within 8 >/dev/null
has_within 20 refreshing '"event":"sa-established"' 2; note $? "and is reached there: $(tail -2 "$work/refreshing.err")"

for pid in "${ues[@]}"; do kill -INT "$pid"; done
for i in "${!ues[@]}"; do
    name=${names[$i]}
    wait "${ues[$i]}"
    code=$?
    tunnels=$(grep '"event":"sa-installed"' "$work/$name" | grep -c UDP-enc-tun) sets=$(count '"event":"sa-installed"' "$name")
    notified=$(count '"label":"NOTIFY' "$name") gone=$(count '"event":"deregistered"' "$name")
    says="$name: exit status $code, $sets sets, $tunnels of them tunnels, $notified NOTIFY, $gone de-registrations"
    echo "$says"
    [ $code -eq 0 ] && [ "$sets" -ge 2 ] && [ "$sets" -eq "$tunnels" ] && [ "$notified" -ge 2 ] && [ "$gone" -eq 1 ]
    note $? "$says $(tail -2 "$work/$name.err")"
done
ues=()
kill "$dump"
wait "$dump" 2>/dev/null
dump=
stop_imsreg
note $? "imsreg serve did not stop in order: $(tail -1 "$work/serve.log")"

# Outside: port 5060 until a UE has its 401, then ESP in UDP. No packet names a private address.
tcpdump -nr "$work/link.pcap" 2>/dev/null | grep -E ' IP ' | grep -vE 'ARP|ICMP' >"$work/link"
sealed=$(grep -c 'UDP-encap: ESP' "$work/link")
other=$(grep -vE 'UDP-encap: ESP|isakmp-nat-keep-alive|\.5060[: ]| frag |ip-proto-17|127\.0\.0\.1' "$work/link" | grep -E 'core[12] ')
echo "$sealed packets of ESP in UDP on the links, $(grep -c 'isakmp-nat-keep-alive' "$work/link") keep-alives, $(grep -c '\.5060[: ]' "$work/link") of port 5060"
[ "$sealed" -ge 60 ] && [ -z "$other" ]; note $? "outside: $sealed sealed, besides: $(head -3 <<<"$other")"
private=$(grep 'core[12] ' "$work/link" | grep '192\.168\.' | head -3)
[ -z "$private" ]; note $? "private addresses outside: $private"
for _ in $(seq 50); do [ -z "$(left)" ] && break; sleep 0.1; done
[ -z "$(left)" ]; note $? "left behind: $(left)"
exit $status
