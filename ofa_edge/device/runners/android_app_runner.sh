# Runs an artifact in the demo app, for Android's sh and toybox; prints the app's JSON as the last line of stdout.
# sh android_app_runner.sh APP_FILES SHA256 MODEL INPUTS OUTPUTS [--threads N] [options of a latency session]
package=org.ofaedge.demo
files=$1 sha256=$2 model=$3 inputs=$4 outputs=$5
shift 5
run=accuracy preflight=false extras=
whole() { # the app counts whole seconds, at least one
    case ${1%%.*} in '' | 0) echo 1 ;; *) echo "${1%%.*}" ;; esac
}
while [ $# -gt 0 ]; do
    case $1 in
    --latency) run=all preflight=true; shift; continue ;;
    --threads) extras="$extras --ei threads $2" ;;
    --min-runs) extras="$extras --ei min_runs $2" ;;
    --min-seconds) extras="$extras --ei min_seconds $(whole "$2")" ;;
    --warmup-limit) extras="$extras --ei warmup_limit_seconds $(whole "$2")" ;;
    --warmup-runs | --warmup-seconds | --warmup-tolerance) ;; # the app's own are the protocol's
    *) echo "the app has no $1" >&2; exit 64 ;;
    esac
    shift 2
done
fault() {
    echo "{\"schema\":1,\"tool\":\"$package\",\"status\":\"error\",\"error\":{\"code\":\"$1\",\"reason\":\"$2\"}}"
    exit 0
}
clean() {
    am force-stop $package >/dev/null 2>&1
    rm -f "$files/ofa-edge-run.tflite" "$files/ofa-edge-run.f32" "$files/ofa-edge-run.json" \
        "$files/ofa-edge-run.json.part" "$files/ofa-edge-run.logits.f32"
}
[ -n "$(pm path $package 2>/dev/null)" ] || fault no-app "$package is not installed"
trap clean EXIT
trap 'exit 143' HUP INT TERM
clean
mkdir -p "$files" && cp "$model" "$files/ofa-edge-run.tflite" && cp "$inputs" "$files/ofa-edge-run.f32" || exit 74
cmp -s "$inputs" "$files/ofa-edge-run.f32" || fault damaged "the inputs changed on their way to the app"
said=$(am start -W -n $package/.BenchmarkActivity --es file ofa-edge-run.tflite --es inputs ofa-edge-run.f32 \
    --es sha256 "$sha256" --es out ofa-edge-run --es run $run --ei sessions 1 --ez preflight $preflight $extras 2>&1)
case $said in *Error*) echo "$said" >&2; exit 70 ;; esac
while [ ! -f "$files/ofa-edge-run.json" ]; do # bounded by the timeout that every command on a device has
    sleep 1
    [ -f "$files/ofa-edge-run.json" ] || pidof $package >/dev/null || fault ended "the app ended and left no result"
done
if [ -f "$files/ofa-edge-run.logits.f32" ]; then
    cp "$files/ofa-edge-run.logits.f32" "$outputs" && cmp -s "$files/ofa-edge-run.logits.f32" "$outputs" || exit 74
fi
cat "$files/ofa-edge-run.json"
