#!/usr/bin/env bash
# Measures a cluster of three hub nodes and the regions eu and us on this machine, the load in a process of its own. Prints tables, the
# memory of each node, and what the machine is. The data lies in a new directory below the one that is named, or below /tmp.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
directory="$(mktemp -d "${1:-/tmp}/quicksilver-bench-XXXXXX")"
data="$directory/cluster"
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
dotnet build Quicksilver.Orleans.sln -c Release --nologo -v quiet -clp:ErrorsOnly
load=artifacts/bin/Load/release/Quicksilver.Load

gateway() { grep -o "{[^}]*\"node\": *\"$1\"[^}]*}" <(tr -d '\n' <"$data/cluster.json") | grep -o '"gateway": *"[^"]*"' | cut -d'"' -f4; }

memory() {
    echo "Resident memory, MiB ($1):"
    for pid in $(grep -o '"pid": *[0-9]*' "$data/cluster.json" | grep -o '[0-9]*'); do
        awk -v node="$(tr '\0' '\n' <"/proc/$pid/cmdline" | tail -n 1 | xargs basename -s .json)" '/^VmRSS/ { printf "  %-6s %d\n", node, $2 / 1024 }' "/proc/$pid/status"
    done
}

trap './infra/local/cluster.sh down --data "$data" >/dev/null || true; rm -rf "$directory"' EXIT
./infra/local/cluster.sh up --data "$data" >/dev/null
echo "$(nproc) processors, $(grep -m 1 'model name' /proc/cpuinfo | cut -d: -f2-), $(awk '/MemTotal/ { printf "%d GiB", $2 / 1048576 }' /proc/meminfo)"
memory "idle, empty"

hubs=(--gateway "$(gateway hub-0)" --gateway "$(gateway hub-1)" --gateway "$(gateway hub-2)")
"$load" --scenario put "${hubs[@]}" --keyspace puts --warmup 8
"$load" --scenario get --gateway "$(gateway eu-0)" --keys 1000000
"$load" --scenario multiGet --gateway "$(gateway eu-0)" --keys 1000000 --concurrency 1,16
memory "after 1,000,000 keys and the gets"
"$load" --scenario propagation "${hubs[@]}" --observer "$(gateway eu-0)" --observer "$(gateway us-0)" --concurrency 1 --keyspace puts --seconds 8
"$load" --scenario put "${hubs[@]}" --keyspace puts --rate 2000 --concurrency 256 --seconds 8
"$load" --scenario get --gateway "$(gateway eu-0)" --keys 1000000 --rate 20000 --concurrency 256 --seconds 8
memory "at the end"
