#!/usr/bin/env bash
# The first run, as a newcomer types it: the ladder has 12 SIP and 8 Cx messages, and tshark reads as many of its capture.
set -u
. "$(dirname "$0")/lib.sh"
work=$(mktemp -d "$target/first.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$root" || exit 1
timeout 20 "$imsreg" --once --capture "$work/first.pcapng" >"$work/out" 2>"$work/err"
status=$?
# A message begins with its number; its arrow is drawn double where it is protected.
sip=$(grep -cE '^ *[0-9]+ .*[─═](REGISTER|401 |200 )' "$work/out")
cx=$(grep -cE '^ *[0-9]+ .*─(UA[RA]|MA[RA]|SA[RA])' "$work/out")
echo "imsreg --once: exit status $status, $sip SIP and $cx Cx messages drawn"
if [ $status -eq 0 ] && [ "$sip" -eq 12 ] && [ "$cx" -eq 8 ]; then
    passed 1
else
    tail -5 "$work/err" >&2
    failure "imsreg --once"
    exit 1
fi
need "$tshark" || exit 0
bash "$root/tests/strangers/tshark.sh" "$work/first.pcapng" 12 8
