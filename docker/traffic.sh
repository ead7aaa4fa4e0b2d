#!/usr/bin/env bash
# An application at work, by pgbench; it reports throughput and latency every five seconds. The PG* variables say where.
set -euo pipefail

if ! psql -X -q -c 'SELECT 1 FROM pgbench_accounts LIMIT 1' >/dev/null 2>&1; then
    pgbench --initialize --quiet --scale="${SCALE:-5}"
fi
exec pgbench --no-vacuum --client="${CLIENTS:-8}" --time="${SECONDS_TO_RUN:-86400}" --rate="${RATE:-200}" --progress=5
