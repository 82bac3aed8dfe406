#!/usr/bin/env bash
# Measures how long after its acknowledgement a put is visible behind one slow way, and behind two, and what a record takes on the wire.
# Arguments go to the program: bench/wan.sh --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
dotnet build bench/Wan/Wan.csproj -c Release --nologo -v quiet -clp:ErrorsOnly
echo "$(nproc) processors, $(grep -m 1 'model name' /proc/cpuinfo | cut -d: -f2-), $(awk '/MemTotal/ { printf "%d GiB", $2 / 1048576 }' /proc/meminfo)"
exec artifacts/bin/Wan/release/Quicksilver.Wan "$@"
