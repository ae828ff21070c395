#!/usr/bin/env bash
# The same lives as in 60-esp.sh with ESP as payload of UDP: plane unprivileged at both ends.
ESP_PLANES="unprivileged unprivileged" exec bash "$(dirname "$0")/60-esp.sh"
