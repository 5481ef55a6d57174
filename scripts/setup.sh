#!/usr/bin/env bash
# Set up everything that `make demo` needs; with the word "tests", what `make test` needs as well. A second call finds
# nothing to do and returns at once. No service is started, now or at the next boot.
# What cannot be had (no root, no Debian, no network) is left out with the reason; host builds work without it.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${VENV:-.venv}
packages=(dataset-fashion-mnist g++ g++-aarch64-linux-gnu gcc python3-venv qemu-user qemu-user-static)
[[ ${1:-} == tests ]] && packages+=(adb chromium llvm openssh-client openssh-server)
policy=${OFA_EDGE_POLICY_RC_D:-/usr/sbin/policy-rc.d}  # Debian asks this program whether a package may start its service
stamp=$(cat constraints.txt pyproject.toml scripts/setup.sh | sha256sum | cut -d' ' -f1)

say() { printf 'setup: %s\n' "$*" >&2; }

missing_packages() {
    local package
    for package in "${packages[@]}"; do
        # python3-venv matters only where the interpreter is Debian's own and cannot make environments.
        if [[ $package == python3-venv ]] && "$python" -c 'import ensurepip' 2>/dev/null; then continue; fi
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package"
    done
}

install_packages() {
    local missing
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        say "left out: ${packages[*]} (this is not Debian); builds verify on the host only"
        return
    fi
    missing=$(missing_packages | tr '\n' ' ')
    [[ -z $missing ]] && return
    if [[ $(id -u) != 0 ]]; then
        say "left out: $missing(not root); for the emulated device: sudo apt-get install $missing"
        return
    fi
    say "installing Debian packages: $missing"
    if [[ ! -e $policy ]]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
    fi
    # shellcheck disable=SC2086  # a list of package names
    if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } >&2; then
        say "left out: $missing(apt-get failed, see above); builds verify on the host only"
    elif [[ " $missing" == *" openssh-server "* ]] && command -v systemctl >/dev/null; then
        systemctl disable --quiet ssh.service ssh.socket >&2 || true  # the tests start one of their own, on a free port
        say "the ssh server that came with openssh-server is off; to have it: sudo systemctl enable --now ssh"
    fi
    if [[ $(trap -p EXIT) ]]; then rm -f "$policy" && trap - EXIT; fi
}

python=$(command -v python3.11 || command -v python3 || true)
if [[ -z $python ]] && command -v apt-get >/dev/null && [[ $(id -u) == 0 ]]; then
    apt-get update -qq >&2 && apt-get install -y -qq --no-install-recommends python3 python3-venv >&2
    python=$(command -v python3 || true)
fi
[[ -n $python ]] || { say "no python3 on this machine: install Python 3.11"; exit 2; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { say "$python is too old: Python 3.11 is needed"; exit 2; }
install_packages

if [[ $(cat "$venv/.ofa-edge-setup" 2>/dev/null) != "$stamp" ]]; then
    say "installing the pinned Python packages into $venv (about 3 GB, a few minutes)"
    [[ -x $venv/bin/python ]] || "$python" -m venv "$venv"
    pip() { "$venv/bin/python" -m pip --disable-pip-version-check --quiet "$@" >&2; }
    # torch by itself, so that a CPU build can be chosen: TORCH_INDEX=https://download.pytorch.org/whl/cpu make demo
    torch=$(grep -E '^torch==' constraints.txt)
    if ! "$venv/bin/python" -c "import importlib.metadata as m, sys; sys.exit(m.version('torch').split('+')[0] != '${torch#torch==}')" 2>/dev/null; then
        pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$torch"
    fi
    pip install -c constraints.txt -e '.[all,dev]'
    # These two ask for packages that nothing here needs, or that do not fit beside TensorFlow.
    pip install --no-deps "$(grep -E '^tflite-support==' constraints.txt)" "$(grep -E '^ofa==' constraints.txt)"
    echo "$stamp" >"$venv/.ofa-edge-setup"
fi

if command -v qemu-aarch64-static >/dev/null; then
    "$venv/bin/python" -m ofa_edge.device.emulation.sysroot >/dev/null || say "left out: the emulated device (see above)"
fi
