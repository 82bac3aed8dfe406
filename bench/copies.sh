#!/usr/bin/env bash
# Measures how fast a region catches up, how fast a new one copies, and what reads at the source feel of it.
# Arguments go to the program: bench/copies.sh --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
dotnet build bench/Copies/Copies.csproj -c Release --nologo -v quiet -clp:ErrorsOnly
echo "$(nproc) processors, $(grep -m 1 'model name' /proc/cpuinfo | cut -d: -f2-), $(awk '/MemTotal/ { printf "%d GiB", $2 / 1048576 }' /proc/meminfo)"
exec artifacts/bin/Copies/release/Quicksilver.Copies "$@"
