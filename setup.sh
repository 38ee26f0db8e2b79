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
case $level in user|dev) ;; *) echo "error: ./setup.sh $level: there is only ./setup.sh and ./setup.sh dev" >&2; exit 2 ;; esac
here=$(pwd -P)
stamp=".venv/.installed-$level"  # holds the folder: an environment that was moved or copied works for the old one

# Two set-ups at once would write into one environment: the second one waits.
lock=.setup.lock
until mkdir "$lock" 2>/dev/null; do
    [ -d "$lock" ] || { echo "error: cannot write in $here" >&2; exit 2; }
    other=$(cat "$lock/process" 2>/dev/null || echo unknown)
    if [ "$other" != unknown ] && ! kill -0 "$other" 2>/dev/null; then rm -rf "$lock"; continue; fi
    [ -n "${waited:-}" ] || echo "waiting for another set-up (process $other); if there is none, remove $lock" >&2
    waited=yes; sleep 1
done
trap 'rm -rf "$lock"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
echo $$ > "$lock/process"

# The environment's own Python, if it is whole; else one of the right version.
right_python() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; }
is_moved() { [ -s "$1" ] && [ "$(cat "$1")" != "$here" ]; }
if is_moved .venv/.installed-user || is_moved .venv/.installed-dev; then rm -rf .venv; fi
python=""
for name in .venv/bin/python "${PYTHON:-python3}" python3.12 python3.11; do
    [ "$name" != .venv/bin/python ] || "$name" -m pip --version >/dev/null 2>&1 || continue
    if right_python "$name"; then python=$name; break; fi
    # Another than the one that was asked for is not taken.
    [ "$name" != "${PYTHON:-}" ] || break
done
if [ -z "$python" ]; then
    echo "error: Python 3.11 or 3.12 is needed; name one with PYTHON=python3.11" >&2; exit 2
fi

# A disk that fills up halfway gives a page of pip's warnings with the reason in their midst.
needed_gb=6  # the packages take 4 GB, pip unpacks them beside that; torch for CUDA takes more
if [ ! -e "$stamp" ]; then
    free_gb=$(($(df -Pk . | awk 'NR == 2 {print $4}') / 1000000))
    if [ "$free_gb" -lt "$needed_gb" ]; then
        echo "error: the Python packages need at least $needed_gb GB, $free_gb are free in $PWD" >&2; exit 2
    fi
fi

missing=""
need() {  # need COMMAND APT_PACKAGES BREW_FORMULA [BREW_CASK]
    command -v "$1" >/dev/null 2>&1 && return
    missing="$missing $1"; apt_list="$apt_list $2"; brew_list="$brew_list $3"; cask_list="$cask_list ${4:-}"
}
apt_list=""; brew_list=""; cask_list=""
need g++ g++ gcc
need arm-none-eabi-g++ "gcc-arm-none-eabi libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib" "" gcc-arm-embedded
need qemu-system-arm qemu-system-arm qemu
# Debian splits the cross compiler's C and C++ libraries off; a compiler without them fails later.
if command -v arm-none-eabi-g++ >/dev/null 2>&1 &&
        ! echo '#include <cstdint>' | arm-none-eabi-g++ -mcpu=cortex-m7 -x c++ -c - -o /dev/null 2>/dev/null; then
    missing="$missing arm-none-eabi-libraries"
    apt_list="$apt_list libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib"
    cask_list="$cask_list gcc-arm-embedded"
fi
if [ "$python" != .venv/bin/python ] && ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    missing="$missing python3-venv"; apt_list="$apt_list python3-venv"; brew_list="$brew_list python@3.12"
fi
if [ "$level" = dev ]; then
    need clang clang llvm
    need clang-format clang-format clang-format
    need cmake cmake cmake
    if grep -qs '^ID=ubuntu' /etc/os-release; then
        need chromium-browser chromium-browser ""
        need chromedriver chromium-chromedriver ""
    else
        need chromium chromium "" chromium
        need chromedriver chromium-driver "" chromedriver
    fi
    need npm "nodejs npm" node
    need adb adb "" android-platform-tools
    # Homebrew has no compiler for Xtensa, and no llvm-mca of this name: what needs them is not to be had there.
    if command -v apt-get >/dev/null 2>&1; then
        need llvm-mca-19 llvm-19 ""
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
            # shellcheck disable=SC2086
            $sudo apt-get update -qq &&
                $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $apt_list >/dev/null || {
                echo "error: the system packages could not be installed, see above. By hand: sudo $command" >&2; exit 2
            }
        else
            echo "error: missing$missing. Run: sudo $command" >&2; exit 2
        fi
    elif command -v brew >/dev/null 2>&1; then
        command=""
        # shellcheck disable=SC2086,SC2116 # without the quotes, empty names leave no spaces
        brew_list=$(echo $brew_list) cask_list=$(echo $cask_list)
        [ -z "$brew_list" ] || command="brew install $brew_list"
        [ -z "$cask_list" ] || command="${command:+$command && }brew install --cask $cask_list"
        echo "error: missing$missing. Run: $command" >&2; exit 2
    else
        echo "error: missing$missing; install them with your system's package manager" >&2; exit 2
    fi
fi

# An interrupted set-up leaves an environment without pip, an upgrade of the system one without Python.
[ "$python" = .venv/bin/python ] || "$python" -m venv --clear .venv
extras="all"; [ "$level" = dev ] && extras="all,dev"
if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ] || [ constraints.txt -nt "$stamp" ]; then
    install() {
        .venv/bin/python -m pip --disable-pip-version-check install -q "$@" || {
            echo "error: pip could not install the packages, see above; check the network and run this again" >&2; exit 2
        }
    }
    [ -z "${TORCH_INDEX:-}" ] || install --index-url "$TORCH_INDEX" torch==2.13.0 torchvision==0.28.0
    install -c constraints.txt -e ".[$extras]"
    echo "$here" > "$stamp"
fi
