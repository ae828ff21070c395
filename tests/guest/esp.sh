#!/usr/bin/env bash
# Plane kernel against plane userspace, both ways round, with every pair of algorithms: each judges the other's ESP. Then
# plane kernel at both ends: the link is read with the keys that it writes, packets and drops are counted, the life of its
# states is extended, and what it leaves when it is killed the next one sweeps. Last, what planes say of a system that lacks
# what they need.
set -u
. "$(dirname "$0")/../strangers/lib.sh"
status=0
note() { if [ "$1" -eq 0 ]; then passed 1; else failure "esp: $2"; status=1; fi; }
for planes in "kernel userspace" "userspace kernel"; do
    echo "core and UE: $planes"
    ESP_PLANES=$planes bash "$root/tests/strangers/60-esp.sh" || status=1
done

echo "core and UE: kernel kernel"
need "$tshark" tcpdump:tcpdump unshare:util-linux || exit $status
core=sweep-p phone=sweep-u work=$(mktemp -d "$target/sweep.XXXXXX") ues=() dump=
own=$imsreg
imsreg=ip
finish() {
    [ -n "$dump" ] && kill "$dump" 2>/dev/null
    for pid in "${ues[@]}"; do kill -KILL "$pid" 2>/dev/null; done
    stop_imsreg
    ip netns del $phone
    ip netns del $core
    rm -rf "$work"
}
trap finish EXIT
ip netns add $core && ip netns add $phone || exit 1
ip link add sweep0 netns $core type veth peer name sweep1 netns $phone
ip -n $core addr add 10.92.0.1/24 dev sweep0 && ip -n $core addr add fd92::1/64 dev sweep0 nodad && ip -n $core link set sweep0 up && ip -n $core link set lo up
ip -n $phone link set lo up && ip -n $phone link set sweep1 up
pairs=(hmac-md5-96/null hmac-md5-96/aes-cbc hmac-md5-96/des-ede3-cbc hmac-sha-1-96/null hmac-sha-1-96/aes-cbc
    hmac-sha-1-96/des-ede3-cbc null/aes-gcm aes-gmac/null)
serve() {
    start_imsreg "$work/serve.log" netns exec $core "$own" serve --ipsec kernel --sec-agree required --sip 10.92.0.1:5060 --sip '[fd92::1]:5060' \
        --hss-data "$root/hss-data/lab.yaml" --set scscf.expires.min=2s --set "pcscf.algorithms=[$(IFS=,; echo "${pairs[*]}")]" \
        --control "$work/ctl" "$@" || { failure "imsreg serve --ipsec kernel"; exit 1; }
}
# phone NAME PLANE ADDRESS IMSI ARGUMENT ...: a UE in the background; what it says is in $work/NAME.
phone() {
    local name=$1 plane=$2 address=$3 imsi=$4 source=$3 pcscf=10.92.0.1:5060 length=24
    shift 4
    case $address in *:*) source="[$address]:0" pcscf='[fd92::1]:5060' length=64 ;; esac
    ip -n $phone addr add $address/$length dev sweep1 $([ $length = 64 ] && echo nodad)
    : >"$work/$name"
    ip netns exec $phone "$own" register --ipsec $plane --pcscf "$pcscf" --source "$source" --imsi $imsi \
        --subscriber "$root/hss-data/lab.yaml" "$@" >"$work/$name" 2>&1 &
    ues+=($!)
}
states() { ip -n $core xfrm state | grep -c ' spi '; }
walls() { ip -n $core xfrm policy | grep -c 'action block'; }
# The earliest end of any state, in seconds after it was made; 0: none has an end.
ends() { ip -n $core -s xfrm state | sed -n 's/.*expire add:.* hard \([0-9]*\)(sec).*/\1/p' | sort -n | head -1; }
# Waits until `$1` holds.
until_so() { local end=$((SECONDS + 60)); until eval "$1"; do [ $SECONDS -lt $end ] || return 1; sleep 0.5; done; }

serve --capture "$work/core.pcapng"
standing=$(walls)
ip netns exec $core tcpdump -U -ni sweep0 -w "$work/link.pcap" 2>/dev/null &
dump=$!
until_so '[ -s "$work/link.pcap" ]'

phone stay kernel 10.92.0.2 001010000000001 --stay --set ue.expires=20s
# 20 s and 30 s more (TS 24.229 clause 5.2.2.1), then as long from the refresh at the half.
until_so '[ "$(states)" -eq 4 ] && [ "$(ends)" -ge 50 ] && [ "$(ends)" -le 52 ]'; note $? "a set of $(states) states, the first ends after $(ends) s: $(tail -1 "$work/stay")"
sets() { ip netns exec $core "$own" sa --socket "$work/ctl" | grep "$1"; }
seen() { tcpdump -nr "$work/link.pcap" "src $1 and dst $2" 2>/dev/null | grep -c ' ESP('; }
counted() { sets 10.92.0.2 | sed -n 's/.* left, \([0-9]*\) in, \([0-9]*\) out .*/\1 \2/p'; }
until_so '[ -n "$(counted)" ] && [ "$(counted)" = "$(seen 10.92.0.2 10.92.0.1) $(seen 10.92.0.1 10.92.0.2)" ]'
note $? "packets in and out: $(counted), on the link $(seen 10.92.0.2 10.92.0.1) $(seen 10.92.0.1 10.92.0.2)"
until_so '[ "$(ends)" -ge 58 ]'; note $? "the refresh does not extend states: $(ends) s"
phone twice userspace 10.92.0.3 001010000001002 --stay --misbehave replay
until_so 'sets 10.92.0.3 | grep -q " dropped (replayed)"'; note $? "replays: $(sets 10.92.0.3)"
sets 10.92.0 | sed 's/.*<>//'
for pid in "${ues[@]}"; do kill -INT "$pid"; wait "$pid"; done
ues=()

# Whatever the pair, tshark reads what the kernels have sealed with the keys that the P-CSCF writes; it lacks aes-gmac.
for i in "${!pairs[@]}"; do
    [ $((i % 2)) -eq 0 ] && address=10.92.0.$((10 + i)) transport=udp || address=fd92::$((10 + i)) transport=tcp
    imsi=00101000000$((1010 + i))
    phone pair.$i kernel $address $imsi --deregister --message "sip:$imsi@ims.mnc001.mcc001.3gppnetwork.org" \
        --transport $transport --set "ue.algorithms=[${pairs[$i]}]"
done
for i in "${!ues[@]}"; do wait "${ues[$i]}"; note $? "${pairs[$i]} with plane kernel at both ends: $(tail -1 "$work/pair.$i")"; done
ues=()
stop_imsreg
note $? "serve did not stop in order: $(tail -1 "$work/serve.log")"
[ "$(states)" -eq 0 ] && [ "$(walls)" -eq 0 ]; note $? "left by a stop in order: $(states) states, $(walls) policies"
kill "$dump"
wait "$dump" 2>/dev/null
dump=
mkdir "$work/profile" && cp "$work/core.pcapng.esp_sa" "$work/profile/esp_sa"
opened() {
    WIRESHARK_CONFIG_DIR=$work/profile tshark -o esp.enable_encryption_decode:TRUE -o esp.enable_authentication_check:TRUE \
        -d tcp.port==6100,sip -d udp.port==6100,sip -d tcp.port==5100-5163,sip -d udp.port==5100-5163,sip "$@" 2>/dev/null
}
known='!(ipv6.addr == fd92::17 || ip.addr == 10.92.0.3)'
fields=(-T fields -E occurrence=f -e ip.src -e ipv6.src -e sip.Call-ID -e sip.CSeq -e sip.Status-Code -e sip.Content-Length)
esp=$(opened -r "$work/link.pcap" -Y "esp && $known" | wc -l) good=$(opened -r "$work/link.pcap" -Y "esp.icv_good == 1 && $known" | wc -l)
opened -r "$work/link.pcap" -Y "esp && sip.CSeq && $known" "${fields[@]}" | sort >"$work/link.txt"
opened -r "$work/core.pcapng" -Y "frame.interface_name == \"clear\" && sip.CSeq && $known" "${fields[@]}" | sort >"$work/clear.txt"
says="$esp ESP packets, $good with a good ICV, $(wc -l <"$work/link.txt") SIP messages in them, $(wc -l <"$work/clear.txt") on interface clear"
echo "$says"
[ "$esp" -ge 100 ] && [ "$good" -eq "$esp" ] && [ -s "$work/link.txt" ] && cmp -s "$work/link.txt" "$work/clear.txt"
note $? "the link with our keys: $says: $(diff "$work/link.txt" "$work/clear.txt" | head -5)"

# What an administrator wrote is none of ours.
ip -n $core xfrm policy add src 10.99.0.1 dst 10.99.0.2 dir out action block priority 7
ip -n $core xfrm state add src 10.99.0.1 dst 10.99.0.2 proto esp spi 0x1234 reqid 7 mode transport enc 'ecb(cipher_null)' '' \
    auth 'hmac(md5)' 0x00112233445566778899aabbccddeeff
serve
phone left kernel 10.92.0.4 001010000001003
wait "${ues[0]}"
note $? "register: $(tail -1 "$work/left")"
ues=()
kill -KILL "$imsreg_pid"
wait "$imsreg_pid" 2>/dev/null
imsreg_pid=
[ "$(states)" -eq 5 ]; note $? "states after a kill: $(states)"
serve
[ "$(states)" -eq 1 ] && [ "$(walls)" -eq $((standing + 1)) ]; note $? "swept down to $(states) states and $(walls) walls, 1 and $((standing + 1)) expected"
stop_imsreg
note $? "serve did not stop in order: $(tail -1 "$work/serve.log")"
[ "$(states)" -eq 1 ] && [ "$(walls)" -eq 1 ]; note $? "left by a stop in order: $(states) states, $(walls) policies"

# What a system lacks is said, with what helps.
ip netns exec $core unshare -m sh -c 'mount -t tmpfs none /dev/net && exec "$@"' bare "$own" serve --ipsec userspace --sip 10.92.0.1:0 >"$work/lacks" 2>&1
[ $? -eq 2 ] && grep -q 'no TUN device (/dev/net/tun).*modprobe tun' "$work/lacks"; note $? "without /dev/net/tun: $(tail -1 "$work/lacks")"
if grep -qs 'User Mode Linux' /proc/cpuinfo; then
    ip -n $core xfrm state flush
    until_so 'rmmod esp6 esp4 2>/dev/null || ! grep -q "^esp[46] " /proc/modules'
    for plane in kernel userspace; do
        ip netns exec $core timeout 5 "$own" serve --ipsec $plane --sip 10.92.0.1:0 >"$work/lacks.$plane" 2>&1
        echo $? >>"$work/lacks.$plane"
    done
    [ "$(tail -1 "$work/lacks.kernel")" -eq 2 ] && grep -q 'no ESP.*take plane userspace' "$work/lacks.kernel"; note $? "kernel without ESP: $(cat "$work/lacks.kernel")"
    grep -q ^ready "$work/lacks.userspace"; note $? "plane userspace on a kernel without ESP: $(cat "$work/lacks.userspace")"
fi
exit $status
