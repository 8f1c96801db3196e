#!/usr/bin/env bash
# Says what `make test` or `make demo` will build and install on this machine, before it does. What is there already is left out.
#
#   hack/announce.sh thing...    # what the target needs: tools, as bin/helm, and programs of Debian packages, as containerd
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${XDG_CACHE_HOME:-$HOME/.cache}/spider-operator
plan=()
packages=()
for thing in "$@"; do
  case $thing in
    bin/*) [[ -e $thing ]] || plan+=("$thing") ;;
    *) command -v "$thing" >/dev/null || packages+=("$thing") ;;
  esac
done
compgen -G "$cache/kube-*/kubelet" >/dev/null || plan+=("Kubernetes, into $cache: some seven minutes on two cores")
[[ -d .images ]] || plan+=("container images, into .images: some two minutes")
((${#packages[@]} == 0)) || plan+=("Debian packages, installed with apt-get: ${packages[*]}")
((${#plan[@]} == 0)) || printf 'This will build or install:\n%s\n' "$(printf '  %s\n' "${plan[@]}")" >&2
