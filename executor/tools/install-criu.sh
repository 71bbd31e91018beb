#!/usr/bin/env bash
# Installs a CRIU that works on kernels newer than the system's own CRIU knows, without touching the system: Debian trixie's
# binary, its loader and its libraries, made to find each other wherever the folder lies. Needs a Debian or Ubuntu machine
# whose package sources name a Debian mirror. Usage: install-criu.sh [FOLDER], by default ~/.local/share/orrery/criu.
set -euo pipefail

release=trixie
folder=${1:-$HOME/.local/share/orrery/criu}

if [ -x "$folder/sbin/criu" ] && "$folder/sbin/criu" --version >/dev/null 2>&1; then
    echo "install-criu: already in $folder"
    exit 0
fi
fail() { echo "install-criu: $*" >&2; exit 2; }
command -v apt-get >/dev/null || fail "needs apt-get; install CRIU 4.1 or later and name it in ORRERY_CRIU"
command -v patchelf >/dev/null || { apt-get update -qq && apt-get install -y -qq patchelf >/dev/null; } || fail "needs patchelf"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -p "$work"/{lists/partial,cache/archives/partial,packages,root,bundle/lib,bundle/sbin}

# The release's package list, in folders of its own, so that the system's stays as it is.
mirror=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null || true; } | grep -v '^ *#' |
    grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ') || fail "no Debian mirror in the package sources"
key=$(ls /usr/share/keyrings/debian-archive-keyring.* 2>/dev/null | head -n 1 || true)
echo "deb ${key:+[signed-by=$key]} $mirror $release main" >"$work/sources"
apt=(apt-get -qq -o APT::Sandbox::User=root -o "Dir::Etc::sourcelist=$work/sources" -o Dir::Etc::sourceparts=-
    -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache")
"${apt[@]}" update

# CRIU and all that it needs, found by following what its files name.
libraries() { readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'; }
fetch() { (cd "$work/packages" && "${apt[@]}" download "$@" && for file in *.deb; do dpkg-deb -x "$file" ../root; done && rm -f -- *.deb); }
packages=$(apt-cache -o "Dir::Etc::sourcelist=$work/sources" -o Dir::Etc::sourceparts=- -o "Dir::State::Lists=$work/lists" \
    -o "Dir::Cache=$work/cache" depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
    --no-enhances criu | grep -E '^(criu$|lib|zlib1g)' | sort -u)
# shellcheck disable=SC2086
fetch $(for package in $packages; do echo "$package/$release"; done)

cp "$(find "$work/root" -path '*sbin/criu' -type f | head -n 1)" "$work/bundle/sbin/criu"
cp -L "$(find "$work/root" -name ld-linux-x86-64.so.2 | head -n 1)" "$work/bundle/lib/"
queue=("$work/bundle/sbin/criu")
while [ ${#queue[@]} -gt 0 ]; do
    file=${queue[0]}
    queue=("${queue[@]:1}")
    for name in $(libraries "$file"); do
        [ -e "$work/bundle/lib/$name" ] && continue
        found=$(find "$work/root" -name "$name" | head -n 1)
        [ -n "$found" ] || fail "$name, which $(basename "$file") needs, is in none of its packages"
        cp -L "$found" "$work/bundle/lib/$name"
        queue+=("$work/bundle/lib/$name")
    done
done

mkdir -p "$(dirname "$folder")"
rm -rf "$folder"
mv "$work/bundle" "$folder"
folder=$(cd "$folder" && pwd)
patchelf --set-interpreter "$folder/lib/ld-linux-x86-64.so.2" --force-rpath --set-rpath "$folder/lib" "$folder/sbin/criu"
"$folder/sbin/criu" --version
