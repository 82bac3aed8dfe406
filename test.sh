#!/usr/bin/env bash
# Builds everything in Release and runs the tests. Installs what the tests need where it can.
#   ./test.sh               the fast tests
#   ./test.sh --soak N      the long ones, each with N rounds or its own default
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

explicit=off
while [ $# -gt 0 ]; do
    case "$1" in
        --soak)
            explicit=only
            export QS_SOAK="${2:-1}"
            shift
            ;;
        *)
            echo "usage: ./test.sh [--soak N]" >&2
            exit 2
            ;;
    esac
    shift
done

# What the tests run against, as Debian packages.
packages=(publicsuffix strace nftables iproute2 libfaketime redis-server postgresql)
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        echo "Installing ${missing[*]} ..."
        (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}") >/dev/null || {
            echo "Could not install ${missing[*]}." >&2
            exit 1
        }
    else
        echo "The tests need the Debian packages ${missing[*]}: apt-get install ${missing[*]}" >&2
        exit 1
    fi
fi

export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
echo "Building ..."
dotnet build Quicksilver.Orleans.sln -c Release --nologo -v quiet -clp:ErrorsOnly || {
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
}

# Processes of tests live for seconds: profiles for a better second compilation would cost them a sixth of the time and give nothing, and
# compiling again what was called 30 times costs a sixth more: 0x400 calls it is.
export DOTNET_TieredPGO=0 DOTNET_TC_CallCountThreshold=400
passed=0 failed=0 skipped=0
for project in tests/*.Tests tests/Simulation; do
    [ -d "$project" ] || continue
    name=$(basename "$project")
    runner="artifacts/bin/$name/release/$name"
    [ -x "$runner" ] || { echo "$name was not built: add it to the solution." >&2; failed=$((failed + 1)); continue; }
    start=$SECONDS

    # Tests with several processes each: more than two at a time would measure the machine.
    parallel=""
    [ "$name" = Cluster.Tests ] && parallel="-maxThreads 2"
    # Far above what any takes: one that hangs must not hang everything in silence.
    limit=""
    [ "$explicit" = off ] && limit="timeout -s KILL 2400"
    output=$(DOTNET_EnableDiagnostics=0 $limit "$runner" -noColor -explicit "$explicit" $parallel 2>&1)
    code=$?
    line=$(grep -oE "Total: [0-9]+, Errors: [0-9]+, Failed: [0-9]+, Skipped: [0-9]+, Not Run: [0-9]+" <<<"$output" | tail -n 1)
    if [ -z "$line" ]; then
        echo "$output"
        echo "$name ended with code $code and no result." >&2
        failed=$((failed + 1))
        continue
    fi

    read -r total errors bad skip notrun <<<"$(grep -oE '[0-9]+' <<<"$line" | tr '\n' ' ')"
    passed=$((passed + total - bad - skip - notrun))
    failed=$((failed + bad + errors))
    skipped=$((skipped + skip))
    if [ "$bad" -gt 0 ] || [ "$errors" -gt 0 ] || [ "$code" -ne 0 ]; then
        echo "$output"
        [ "$bad" -eq 0 ] && [ "$errors" -eq 0 ] && failed=$((failed + 1))
    fi
    printf '%-22s %4d run, %d failed, %d skipped, %d s\n' "$name" $((total - notrun)) "$bad" "$skip" $((SECONDS - start))
done

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
