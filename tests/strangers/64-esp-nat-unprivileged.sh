#!/usr/bin/env bash
# The same lives as in 62-esp-nat.sh with plane unprivileged at the UEs: any port of theirs outside, and the P-CSCF's 4500.
ESP_PLANES="userspace unprivileged" exec bash "$(dirname "$0")/62-esp-nat.sh"
