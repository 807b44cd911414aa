#!/usr/bin/env bash
# Runs every fuzz target for ten seconds, or for as many as the first argument says. Ends with the first failure.
# Needs nightly Rust with a C++ compiler; where there is none it says so and passes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=${1:-10}
compiler=${CXX:-c++}

say() {
    printf '[%4d s] %s\n' "$SECONDS" "$*"
}

# Unlike `cargo +nightly`, `rustup run` never installs a toolchain.
nightly() {
    rustup run nightly "$@"
}

fuzz() {
    local command=$1
    shift
    nightly .local/ci/bin/cargo-fuzz "$command" --fuzz-dir tests/fuzz "$@"
}

if ! version=$(nightly rustc --version 2> /dev/null); then
    say 'fuzzing skipped: no nightly (rustup toolchain install nightly --profile minimal)'
    exit
fi
# CXX may have arguments.
if ! $compiler --version > /dev/null 2>&1; then
    say "fuzzing skipped: no C++ compiler ($compiler)"
    exit
fi

.ci/tools
tests/fuzz/seed.sh
targets=$(fuzz list)
say "building the fuzz targets with $version (the first time: 20 minutes of processor time)"
fuzz build
for target in $targets; do
    say "$target: $seconds s"
    log=tests/fuzz/artifacts/$target.log
    mkdir -p tests/fuzz/artifacts
    if ! fuzz run "$target" -- -max_total_time="$seconds" -print_final_stats=1 > "$log" 2>&1; then
        # without libFuzzer's lines about each new input
        grep -vE '^#|NEW_FUNC' "$log"
        say "$target: failed; tests/fuzz/README.md says how to reproduce it; all it printed is in $log"
        exit 1
    fi
    sed -n 's/^stat::number_of_executed_units: */  inputs: /p' "$log"
done
say 'no failure'
