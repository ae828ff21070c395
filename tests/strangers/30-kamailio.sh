#!/usr/bin/env bash
# Kamailio as P-, I- and S-CSCF on loopback: our HSS serves it, and our UE registers through it without sec-agree.
set -u
. "$(dirname "$0")/lib.sh"
need "${kamailio[@]}" "$ss" || exit 0
shared peers/kamailio/pcscf.cfg || exit 0
work=$(mktemp -d "$target/kamailio.XXXXXX")
pids=()
stop_all() {
    for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null; done
    stop_imsreg
    rm -rf "$work"
}
trap stop_all EXIT

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
start_imsreg "$work/hss.log" serve --only hss --realm ims.test --diameter $h:3868 --hss-data "$work/subscribers.yaml" \
    --set hss.origin_host=$h || { failure "imsreg serve --only hss"; exit 1; }

for role in scscf icscf pcscf; do
    kamailio -DD -m 512 -M 16 -f "$work/$role.cfg" -P "$work/$role.pid" -w "$work" >"$work/$role.log" 2>&1 &
    pids+=($!)
done
# Ready when the I-CSCF and the S-CSCF have opened their Diameter connections.
for _ in $(seq 100); do
    [ "$(ss -Htn state established "src $h:3868" 2>/dev/null | wc -l)" -ge 2 ] && break
    read -rt 0.2 <> <(:) || :
done

status=0 registered=0
for n in 0 1 2; do
    imsi=$(printf '00101%010d' $((1000 + n)))
    k=$(printf 'K%s' "$imsi" | od -An -tx1 | tr -d ' \n')
    if "$imsreg" register --pcscf $p:5060 --source 127.0.2.$((10 + n)) --imsi "$imsi" --k "$k" \
        --op 30313233343536373839616263646566 --realm ims.test --sec-agree off --timeout 20 >"$work/ue.log" 2>&1; then
        passed 1
        registered=$((registered + 1))
    else
        failure "register through Kamailio: $(tail -1 "$work/ue.log")"
        for role in pcscf icscf scscf; do tail -5 "$work/$role.log" >&2; done
        tail -5 "$work/hss.log" >&2
        status=1
    fi
done
echo "$registered of 3 UEs registered through Kamailio with our HSS"
exit $status
