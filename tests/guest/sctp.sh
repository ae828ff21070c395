#!/usr/bin/env bash
# Diameter over SCTP, on a kernel that has it: imsreg is at both ends of Cx, each side opening once.
set -u
. "$(dirname "$0")/../strangers/lib.sh"
work=$(mktemp -d "$target/sctp.XXXXXX")
trap 'stop_all; rm -rf "$work"' EXIT
cd "$root" || exit 1
elements=()
stop_all() {
    for pid in "${elements[@]}"; do kill -TERM "$pid" 2>/dev/null; wait "$pid"; done
    elements=()
}
status=0
note() { if [ "$1" -eq 0 ]; then passed 1; else failure "sctp: $2"; status=1; fi; }
serve() {
    local name=$1
    shift
    start_imsreg "$work/$name.log" serve --set diameter.transports=sctp "$@" || { failure "imsreg serve ($name)"; exit 1; }
    elements+=("$imsreg_pid")
}
# One association a CSCF. The last two columns of numbers are ports: ours and theirs.
associations() { awk 'NR > 1 && ($12 == 3868 || $13 == 3868 || $12 ~ /^387/ || $13 ~ /^387/)' /proc/net/sctp/assocs | wc -l; }
register() {
    timeout 30 "$imsreg" register --pcscf 127.0.0.1:5060 --subscriber hss-data/lab.yaml --imsi 001010000000001 "$@" \
        >"$work/register.log" 2>&1
}

echo "the CSCFs open"
serve hss --only hss --capture "$work/hss.pcapng"
serve core --only pcscf,icscf,scscf --capture "$work/core.pcapng"
register --deregister
note $? "register, HSS waiting: $(tail -1 "$work/register.log")"
both=$(associations)
[ "$both" -ge 2 ]; note $? "associations in /proc/net/sctp/assocs: $both"
stop_all

echo "the HSS opens"
serve core --only pcscf,icscf,scscf --set icscf.hss='127.0.0.1:3868;transport=sctp;side=waiting' \
    --set icscf.diameter_listen=127.0.0.1:3871 \
    --set scscf.hss='127.0.0.1:3868;transport=sctp;side=waiting' --set scscf.diameter_listen=127.0.0.1:3872
serve hss --only hss --set hss.peers='["127.0.0.1:3871;transport=sctp", "127.0.0.1:3872;transport=sctp"]'
register
note $? "register, HSS opening: $(tail -1 "$work/register.log")"
stop_all

# What the first pair wrote reads as Diameter, checksums included.
if [ -n "$(command -v tshark)" ]; then
    for file in core hss; do
        found=$(tshark -r "$work/$file.pcapng" -o sctp.checksum:"CRC 32c" -Y 'diameter.cmd.code in {300, 301, 303}' 2>/dev/null | wc -l)
        bad=$(tshark -r "$work/$file.pcapng" -o sctp.checksum:"CRC 32c" -Y 'sctp.checksum.status == "Bad" || _ws.malformed' 2>/dev/null | wc -l)
        echo "$file.pcapng: $found Cx messages, $bad bad"
        [ "$found" -ge 12 ] && [ "$bad" -eq 0 ]; note $? "$file.pcapng: $found Cx messages, $bad bad"
    done
else
    not_run "tshark in the guest"
fi
exit $status
