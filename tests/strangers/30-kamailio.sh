#!/usr/bin/env bash
# Kamailio on loopback, with our HSS and our UE in each row: its P-, I- and S-CSCF; its I- and S-CSCF behind our P-CSCF,
# with and without a security agreement; our S-CSCF behind its P- and I-CSCF. Every UE registers and de-registers.
set -u
. "$(dirname "$0")/lib.sh"
need "${kamailio[@]}" "$ss" "$tshark" || exit 0
shared peers/kamailio/pcscf.cfg || exit 0
work=$(mktemp -d "$target/kamailio.XXXXXX")
pids=()
stop_kamailio() {
    for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null; done
    pids=()
}
trap 'stop_kamailio; stop_imsreg; rm -rf "$work"' EXIT
kamailio -v | sed -n '1s/^version: \(.*\) (.*/\1/p'

p=127.0.2.1 i=127.0.2.2 s=127.0.2.3 h=127.0.2.4
fill() { # fill SOURCE NAME
    sed -e "s/@PCSCF_IP@/$p/g;s/@ICSCF_IP@/$i/g;s/@SCSCF_IP@/$s/g;s/@HSS_IP@/$h/g;s#@RUN@#$work#g;s/@DEBUG@/-1/g" \
        -e "s/@CHILDREN@/1/g;s/@NOTCP@/yes/g;s/@WORKERS@/1/g;s/@QUEUE@/16/g;s/@NAME@/$2/g" "$1"
}
kamailio_files=$IMSREG_SHARED/peers/kamailio
for role in pcscf icscf scscf; do
    fill "$kamailio_files/$role.cfg" $role >"$work/$role.cfg"
    fill "$kamailio_files/cdp.xml" $role >"$work/$role.xml"
done
mkdir "$work/icscf-db"
printf 'id(int) name(string) s_cscf_uri(string)\n1:scscf:sip\\:%s\\:6060\n' $s >"$work/icscf-db/s_cscf"
printf 'id(int) id_s_cscf(int) capability(int)\n1:1:1\n' >"$work/icscf-db/s_cscf_capabilities"
printf 'id(int) trusted_domain(string)\n1:ims.test\n' >"$work/icscf-db/nds_trusted_domains"
printf 'table_name(string) table_version(int)\ns_cscf:6\ns_cscf_capabilities:6\nnds_trusted_domains:6\n' >"$work/icscf-db/version"

cat >"$work/subscribers.yaml" <<YAML
subscribers:
  - {imsi: "001010000001000", range: 100, realm: ims.test, k: "4b{imsi}", op: 30313233343536373839616263646566}
YAML

status=0 next_ue=0
# row WHAT "KAMAILIO-ROLE ..." "ARGUMENT ..." "UE-ARGUMENT ...": starts our elements and Kamailio's, then three UEs.
row() {
    local what=$1 roles=$2 ours=$3 ue=$4 role n peers=0 registered=0
    # shellcheck disable=SC2086
    start_imsreg "$work/imsreg.log" serve --profile lab --realm ims.test --diameter $h:3868 --set hss.origin_host=$h \
        --hss-data "$work/subscribers.yaml" --control "$work/ctl" --capture "$work/imsreg.pcapng" --set core_transport=udp $ours ||
        { failure "imsreg serve: $what"; exit 1; }
    for role in $roles; do
        kamailio -DD -m 512 -M 16 -f "$work/$role.cfg" -P "$work/$role.pid" -w "$work" >"$work/$role.log" 2>&1 &
        pids+=($!)
        [ "$role" = pcscf ] || peers=$((peers + 1))
    done
    # Ready when its I-CSCF and S-CSCF have opened their Diameter connections.
    for _ in $(seq 100); do
        [ "$(ss -Htn state established "src $h:3868" 2>/dev/null | wc -l)" -ge $peers ] && break
        read -rt 0.2 <> <(:) || :
    done
    for n in 0 1 2; do
        local imsi k
        imsi=$(printf '00101%010d' $((1000 + next_ue)))
        k=$(printf 'K%s' "$imsi" | od -An -tx1 | tr -d ' \n')
        # shellcheck disable=SC2086
        if "$imsreg" register --pcscf $p:5060 --source 127.0.2.$((10 + next_ue)) --imsi "$imsi" --k "$k" \
            --op 30313233343536373839616263646566 --realm ims.test --timeout 20 --deregister --capture "$work/ue$n.pcapng" $ue >"$work/ue.log" 2>&1; then
            passed 1
            registered=$((registered + 1))
        else
            failure "$what: $(tail -1 "$work/ue.log")"
            for role in $roles; do tail -5 "$work/$role.log" >&2; done
            tail -5 "$work/imsreg.log" >&2
            status=1
        fi
        next_ue=$((next_ue + 1))
    done
    echo "$registered of 3 UEs registered and de-registered: $what"
    stop_kamailio
    stop_imsreg || { failure "imsreg serve did not stop in order: $what"; status=1; }
    # Kamailio's S-CSCF puts the Call-ID into its SAR, as AVP 494 of vendor 50, which no dictionary has.
    bash "$(dirname "$0")/tshark.sh" "$work/imsreg.pcapng" 0 24 '^Unknown (AVP 494 [(]vendor=Optical|Vendor)' || status=1
    bash "$(dirname "$0")/tshark.sh" "$work/ue0.pcapng" 6 0 || status=1
}

row "Kamailio P-, I- and S-CSCF, our HSS" "scscf icscf pcscf" "--only hss" "--sec-agree off"
for agree in off required; do
    row "our P-CSCF (sec-agree $agree), Kamailio I- and S-CSCF, our HSS" "scscf icscf" \
        "--only pcscf,hss --sip $p:5060 --set pcscf.next_hop=[$i:4060] --set pcscf.core=$p:5060 --sec-agree $agree --ipsec none" \
        "--sec-agree $agree --ipsec none"
done
row "Kamailio P- and I-CSCF, our S-CSCF and HSS" "icscf pcscf" \
    "--only scscf,hss --sip $s:6060 --set scscf.name=sip:$s:6060" "--sec-agree off"
exit $status
