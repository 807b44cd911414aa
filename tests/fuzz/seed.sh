#!/usr/bin/env bash
# Creates the seed corpus: each target gets the fixtures from events/ that it can parse. Also copies Cargo.lock,
# so that the fuzz targets use the dependency versions that are shipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

seed() {
    local target=$1 file
    shift
    mkdir -p "corpus/$target"
    for file in "$@"; do
        cp "$file" "corpus/$target/$(basename "$(dirname "$file")")-$(basename "$file")"
    done
}

events=../../events
seed umaaas $events/umaaas/*.json
seed grid $events/grid/*.json
seed weavr $events/weavr/*.json
seed gateway $events/umaaas/gateway/*.json
seed envelope $events/umaaas/*.json $events/grid/*.json $events/weavr/*.json
mkdir -p corpus/headers
printf '%s\n%s\n%s' 18a0416d8eb9d1705f188fcfef76850e5a4acbfb26ecfefca9bfc9836489917a 1793612075500 order-7 \
    > corpus/headers/documented
cp ../../Cargo.lock .
