#!/bin/sh
# Set-up: system packages, then a virtual environment with the pinned Python packages.
#
#   ./setup.sh        what `make demo` needs
#   ./setup.sh dev    also what `make test` and `make check` need
#
# Where this may not install system packages, it prints the one command that does, and stops.
# TORCH_INDEX=URL takes torch from that index (README: PyTorch's small CPU build).
set -eu
cd "$(dirname "$0")"
level=${1:-user}

# A disk that fills up halfway gives a page of pip's warnings with the reason in their midst.
needed_gb=6  # the packages take 4 GB, pip unpacks them beside that; torch for CUDA takes more
if [ ! -d .venv ]; then
    free_gb=$(($(df -Pk . | awk 'NR == 2 {print $4}') / 1000000))
    if [ "$free_gb" -lt "$needed_gb" ]; then
        echo "error: the Python packages need at least $needed_gb GB, $free_gb are free in $PWD" >&2; exit 2
    fi
fi

missing=""
need() {  # need COMMAND APT_PACKAGES BREW_PACKAGES
    command -v "$1" >/dev/null 2>&1 && return
    missing="$missing $1"; apt_list="$apt_list $2"; brew_list="$brew_list $3"
}
apt_list=""; brew_list=""
need g++ g++ gcc
need arm-none-eabi-g++ "gcc-arm-none-eabi libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib" "--cask gcc-arm-embedded"
need qemu-system-arm qemu-system-arm qemu
# Debian splits the cross compiler's C and C++ libraries off; a compiler without them fails later.
if command -v arm-none-eabi-g++ >/dev/null 2>&1 &&
        ! echo '#include <cstdint>' | arm-none-eabi-g++ -mcpu=cortex-m7 -x c++ -c - -o /dev/null 2>/dev/null; then
    missing="$missing arm-none-eabi-libraries"
    apt_list="$apt_list libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib"
    brew_list="$brew_list --cask gcc-arm-embedded"
fi
python=${PYTHON:-python3}
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    missing="$missing python3-venv"; apt_list="$apt_list python3-venv"; brew_list="$brew_list python@3.11"
fi
if [ "$level" = dev ]; then
    need clang clang llvm
    need clang-format clang-format clang-format
    need cmake cmake cmake
    need llvm-mca-19 llvm-19 llvm@19
    need chromium chromium "--cask chromium"
    need chromedriver chromium-driver "--cask chromedriver"
    need npm "nodejs npm" node
    need adb adb "--cask android-platform-tools"
    # Homebrew has no compiler for this core: there the emulated Xtensa board is not to be had.
    if command -v apt-get >/dev/null 2>&1; then
        need xtensa-lx106-elf-gcc "gcc-xtensa-lx106 picolibc-xtensa-lx106-elf" ""
        need qemu-system-xtensa qemu-system-misc ""
        if command -v xtensa-lx106-elf-gcc >/dev/null 2>&1 &&
                ! echo '#include <string.h>' | xtensa-lx106-elf-gcc -x c -c - -o /dev/null 2>/dev/null; then
            missing="$missing xtensa-libraries"; apt_list="$apt_list picolibc-xtensa-lx106-elf"
        fi
    fi
    # libFuzzer and the sanitizers' runtime are a package of their own on Debian.
    if command -v clang >/dev/null 2>&1 &&
            ! echo 'int main(void){return 0;}' | clang -fsanitize=address,undefined -x c - -o /dev/null 2>/dev/null; then
        missing="$missing clang-runtime"
        apt_list="$apt_list libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"; brew_list="$brew_list llvm"
    elif ! command -v clang >/dev/null 2>&1; then
        apt_list="$apt_list libclang-rt-14-dev"
    fi
fi

if [ -n "$missing" ]; then
    if command -v apt-get >/dev/null 2>&1; then
        command="apt-get install -y$apt_list"
        sudo=""; [ "$(id -u)" = 0 ] || sudo="sudo -n"
        if $sudo true 2>/dev/null; then
            echo "Installing$apt_list" >&2
            $sudo apt-get update -qq
            # shellcheck disable=SC2086
            $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $apt_list >/dev/null
        else
            echo "error: missing$missing. Run: sudo $command" >&2; exit 2
        fi
    elif command -v brew >/dev/null 2>&1; then
        echo "error: missing$missing. Run: brew install$brew_list" >&2; exit 2
    else
        echo "error: missing$missing; install them with your system's package manager" >&2; exit 2
    fi
fi

"$python" - <<'CHECK' || { echo "error: Python 3.11 or 3.12 is needed; name one with PYTHON=python3.11" >&2; exit 2; }
import sys
sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))
CHECK
# An interrupted set-up leaves an environment without pip, an upgrade of the system one without Python.
.venv/bin/python -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear .venv
extras="all"; [ "$level" = dev ] && extras="all,dev"
stamp=".venv/.installed-$level"
if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ] || [ constraints.txt -nt "$stamp" ]; then
    pip=".venv/bin/python -m pip --disable-pip-version-check"
    if [ -n "${TORCH_INDEX:-}" ]; then
        $pip install -q --index-url "$TORCH_INDEX" torch==2.13.0 torchvision==0.28.0
    fi
    $pip install -q -c constraints.txt -e ".[$extras]"
    touch "$stamp"
fi
