#!/bin/sh
# Usage: kubeconfig.sh KUBECONFIG FOLDER
# Writes FOLDER/slipway.yaml, KUBECONFIG with the node's name instead of 127.0.0.1, and its certificates as ca.crt, client.crt and client.key.
set -eu
kubeconfig=$1
folder=$2

field() {
  value=$(sed -n "s/^ *$1: *//p" "$kubeconfig" | head -n 1)
  [ -n "$value" ] || { echo "$kubeconfig has no $1" >&2; exit 1; }
  echo "$value" | base64 -d
}

field certificate-authority-data > "$folder/ca.crt"
field client-certificate-data > "$folder/client.crt"
field client-key-data > "$folder/client.key"
sed 's#https://127\.0\.0\.1:#https://k3s:#' "$kubeconfig" > "$folder/slipway.yaml"
# Readers are the users node (1000) and nobody (65534) of other images; only this project's containers see the volume.
chmod 444 "$folder/slipway.yaml" "$folder/ca.crt" "$folder/client.crt" "$folder/client.key"
