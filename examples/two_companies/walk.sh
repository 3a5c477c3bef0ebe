#!/usr/bin/env bash
# The README's walk-through of two companies, unattended, on one machine.
#
#   walk.sh FOLDER [ROWS]
#
# FOLDER must not exist. What the README does in two terminals happens here in one: the bureau's
# `serve` runs in the background. `secureboost` and `python` must be those of the installation.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
folder=${1:?usage: walk.sh FOLDER [ROWS]}
test ! -e "$folder" || { echo "$folder exists; name another folder" >&2; exit 2; }

python "$here/make_tables.py" "$folder" "${2:-2500}"
cp "$here/bureau.toml" "$folder/bureau/"
cp "$here/lender.toml" "$folder/lender/"
cd "$folder"

server=
stop() {
    if [ -n "$server" ]; then kill "$server" 2>/dev/null && wait "$server" || true; fi
    server=
}
trap stop EXIT

in_bureau() { (cd bureau && "$@"); }
in_lender() { (cd lender && "$@"); }
# The connection is tried for a minute, so nobody has to wait for the server to listen.
serve() {
    (cd bureau && exec secureboost serve "$@" >>serve.log 2>&1) &
    server=$!
}

in_bureau secureboost cert bureau
in_lender secureboost cert lender
cp lender/lender.crt bureau/
cp bureau/bureau.crt lender/
in_bureau secureboost cert --show lender.crt
in_lender secureboost cert --show bureau.crt

serve bureau.toml
in_lender secureboost train lender.toml
in_lender secureboost evaluate run/scores.csv --labels customers.csv --target default --id id
stop

serve bureau.toml --set data.file=applicants.csv
in_lender secureboost predict run/model --config lender.toml --data applicants.csv --out applicants_scored.csv
in_lender secureboost evaluate applicants_scored.csv --labels applicants.csv --target default --id id
stop
