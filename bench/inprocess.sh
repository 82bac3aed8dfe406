#!/usr/bin/env bash
# Measures reads of a replica in an application's own process beside RocksDB's own gets. Arguments go to the program: bench/inprocess.sh --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
dotnet build bench/InProcess/InProcess.csproj -c Release --nologo -v quiet -clp:ErrorsOnly
echo "$(nproc) processors, $(grep -m 1 'model name' /proc/cpuinfo | cut -d: -f2-), $(awk '/MemTotal/ { printf "%d GiB", $2 / 1048576 }' /proc/meminfo)"
exec artifacts/bin/InProcess/release/Quicksilver.InProcess "$@"
