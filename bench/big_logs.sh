#!/bin/bash
# report over a large log, beside jq, awk and mlr on the same sum: of each process its last line, added up by program.
# Time is that of the processor, so that a busy machine distorts it less. BUILD [MILLIONS-OF-LINES]
set -euo pipefail
export LC_ALL=C
build=$1 millions=${2:-4}
fields='sockets binds bind_errors connects connect_errors accepts established time_wait avoided passive aborted passed'
where=$(mktemp -d "${TMPDIR:-/tmp}/afterfin-bench.XXXXXX")
trap 'rm -rf "$where"' EXIT

# took NAME LOG COMMAND...: its output goes to $where/NAME.
took() {
    local name=$1 log=$2 megabytes
    shift 2
    if ! command -v "$1" >/dev/null; then
        printf '  %-22s is not installed\n' "$name"
        return
    fi
    megabytes=$(($(stat -c %s "$log") / 1000000))
    python3 - "$name" "$megabytes" "$where/$name" "$@" <<'PYTHON'
import resource, subprocess, sys
name, megabytes, out = sys.argv[1], int(sys.argv[2]), sys.argv[3]
with open(out, "wb") as to:
    subprocess.run(sys.argv[4:], stdout=to, check=True)
u = resource.getrusage(resource.RUSAGE_CHILDREN)
seconds = u.ru_utime + u.ru_stime
print(f"  {name:22} {seconds:8.2f} s {megabytes / seconds:8.0f} MB/s {u.ru_maxrss / 1024:8.0f} MB of memory")
PYTHON
}

compare() {
    local lines=$1 processes=$2 format=$3 log=$where/log f
    "$build/bench/log_lines" "$lines" "$processes" ${format#logfmt} >"$log"
    printf '%s lines of %s processes, %s, %s MB\n' "$lines" "$processes" "$format" $(($(stat -c %s "$log") / 1000000))
    took afterfin "$log" "$build/afterfin" report --json "$log"
    [ "${4:-}" ] || return 0
    if [ "$format" = json ]; then
        took jq "$log" jq -nc "reduce inputs as \$l ({}; .[\"\\(\$l.program) \\(\$l.pid)\"] = \$l) |
            reduce .[] as \$l ({}; $(for f in $fields; do printf '.%s += $l.%s | ' "$f" "$f"; done) .)" "$log"
        took mlr "$log" mlr --ijsonl --ojson tail -n 1 -g program,pid then \
            stats1 -a sum -f "$(tr ' ' , <<<"$fields")" "$log"
    else
        for awk in mawk gawk; do
            took $awk "$log" $awk -v fields="$fields" '
                { for (i = 2; i <= NF; i++) { at = index($i, "="); value[substr($i, 1, at - 1)] = substr($i, at + 1) }
                  line[value["program"] " " value["pid"]] = $0 }
                END { n = split(fields, name, " ")
                      for (p in line) {
                          m = split(line[p], part, " ")
                          for (i = 2; i <= m; i++) { at = index(part[i], "=")
                                                     sum[substr(part[i], 1, at - 1)] += substr(part[i], at + 1) } }
                      for (i = 1; i <= n; i++) printf "%s %.0f\n", name[i], sum[name[i]] }' "$log"
        done
        took mlr "$log" mlr --idkvp --ifs ' ' --ojson tail -n 1 -g program,pid then \
            stats1 -a sum -f "$(tr ' ' , <<<"$fields")" "$log"
    fi
    python3 - "$where" $fields <<'PYTHON'
import json, os, re, sys
where, fields = sys.argv[1], sys.argv[2:]
want = [json.load(open(f"{where}/afterfin"))["totals"][f] for f in fields]
for name in ("jq", "mlr", "mawk", "gawk"):
    path = f"{where}/{name}"
    if os.path.exists(path):
        got = [int(float(n)) for n in re.findall(r"[: ]+(\d+)", open(path).read())]
        print(f"  {name} has {'the same sums' if got == want else 'OTHER SUMS: ' + str(got) + ' for ' + str(want)}")
        os.unlink(path)
PYTHON
}

compare 400000 20000 logfmt beside
compare 400000 20000 json beside
compare $((millions * 1000000)) 1000000 logfmt
compare $((millions * 1000000)) 1000000 json
