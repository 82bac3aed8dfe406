#!/usr/bin/env bash
# Kills and stops the leader of a hub of three on this machine, again and again, under a client that writes: prints how long nothing was
# acknowledged, and how many calls failed. Arguments go to the program: bench/failover.sh --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
dotnet build bench/Failover/Failover.csproj -c Release --nologo -v quiet -clp:ErrorsOnly
echo "$(nproc) processors, $(grep -m 1 'model name' /proc/cpuinfo | cut -d: -f2-), $(awk '/MemTotal/ { printf "%d GiB", $2 / 1048576 }' /proc/meminfo)"
exec artifacts/bin/Failover/release/Quicksilver.Failover "$@"
