#!/usr/bin/env bash
# Plane kernel against plane userspace, both ways round, with every pair of algorithms: each judges the other's ESP. Then
# what a kernel plane leaves when it is killed, and what the next one sweeps.
set -u
. "$(dirname "$0")/../strangers/lib.sh"
status=0
for planes in "kernel userspace" "userspace kernel"; do
    echo "core and UE: $planes"
    ESP_PLANES=$planes bash "$root/tests/strangers/60-esp.sh" || status=1
done
exit $status
