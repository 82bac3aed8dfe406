#!/usr/bin/env bash
# Measures etcd (Debian's etcd-server) and Quicksilver in turn on this machine, and prints a table of ratios; with --propagation or --reads also
# Redis and NATS. Arguments go to the program: bench/peers.sh --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
packages=(etcd-server)
[[ " $* " == *" --propagation "* || " $* " == *" --reads "* ]] && packages+=(redis-server nats-server)
for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' && continue
    [ "$(id -u)" -eq 0 ] && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$package" >/dev/null ||
        { echo "This needs the Debian package $package: apt-get install $package" >&2; exit 1; }
done
dotnet build bench/Peers/Peers.csproj -c Release --nologo -v quiet -clp:ErrorsOnly
echo "$(nproc) processors, $(grep -m 1 'model name' /proc/cpuinfo | cut -d: -f2-), $(awk '/MemTotal/ { printf "%d GiB", $2 / 1048576 }' /proc/meminfo), $(etcd --version | head -1)"
[ "${#packages[@]}" -eq 1 ] || echo "$(redis-server --version | cut -d' ' -f1-3), $(nats-server --version)"
exec artifacts/bin/Peers/release/Quicksilver.Peers "$@"
