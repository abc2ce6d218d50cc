#!/usr/bin/env bash
# tests/beside.sh LOG 'COMMAND' COMMAND...: runs the first command, its output in LOG, with what the
# second leaves of the machine.  Both run to their end, and where one fails so does this; what the
# first has said is shown then, and else its last lines.  Interrupted, both end.
set -uo pipefail

log=$1
aside=$2
shift 2
mkdir -p "$(dirname "$log")"

# A process group of its own, so that all that it starts ends with it.
set -m
chrt --idle 0 bash -c "$aside" >"$log" 2>&1 </dev/null &
group=$!
set +m
trap 'kill -- -"$group" 2>/dev/null' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

code=0
"$@" || code=$?
if wait "$group"; then
    tail -n 5 "$log"
else
    echo "$aside: exit $?"
    cat "$log"
    code=1
fi
exit "$code"
