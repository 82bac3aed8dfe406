#!/usr/bin/env bash
# A cluster of separate processes on this machine.
#   infra/local/cluster.sh up [--hubs 3] [--regions eu,us] [--replicas-per-region 1] [--data DIR] [--base-port N]
#   infra/local/cluster.sh down [--data DIR]
#   infra/local/cluster.sh restart NODE [--data DIR]
# DIR/cluster.json lists the nodes; logs are under DIR/logs.
set -euo pipefail
project="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/LocalCluster"
dotnet build -c Release --nologo -v quiet -clp:ErrorsOnly "$project" >&2
exec dotnet run -c Release --no-build --project "$project" -- "$@"
