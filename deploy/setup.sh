#!/usr/bin/env bash
# Makes a machine ready to build and test diemcau. Quick when nothing is missing.
# On Debian as root it installs what is missing; elsewhere it names it and stops.
set -euo pipefail
cd "$(dirname "$0")/.."

golangci_version=v2.12.2
go_minimum=1.26
node_minimum=20.19

PATH=$PATH:/usr/sbin:/sbin

# at_least HAVE WANT compares dotted versions.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }
need_font() { fc-list 2>/dev/null | grep "$1" >/dev/null || missing+=("$2"); }

need "${CHROMIUM:-chromium}" chromium
need "${FIREFOX:-firefox-esr}" firefox-esr
need redis-server redis-server
need strace strace
compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || missing+=(postgresql)
need ip iproute2
need nft nftables
need certutil libnss3-tools
need ffmpeg ffmpeg
need git git
need curl curl
need gcc gcc
need fc-list fontconfig
need_font NotoSans-Regular fonts-noto-core
need_font NotoColorEmoji fonts-noto-color-emoji
need node nodejs
need npm npm

if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "setup: missing: ${missing[*]}" >&2
    echo "setup: install them (on Debian, as root: apt-get install ${missing[*]}) and run this again" >&2
    exit 1
  fi
  echo "setup: installing ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

if ! command -v go >/dev/null; then
  echo "setup: Go $go_minimum or later is needed: https://go.dev/dl/" >&2
  exit 1
fi
go_have=$(go env GOVERSION)
go_have=${go_have#go}
if ! at_least "$go_have" "$go_minimum"; then
  echo "setup: Go $go_minimum or later is needed, this is $go_have" >&2
  exit 1
fi
node_have=$(node --version)
node_have=${node_have#v}
if ! at_least "$node_have" "$node_minimum"; then
  echo "setup: Node $node_minimum or later is needed, this is $node_have: https://nodejs.org/" >&2
  exit 1
fi

linter=bin/tools/golangci-lint
if ! { [ -x $linter ] && go version -m $linter | grep "golangci-lint/v2[[:space:]]$golangci_version[[:space:]]" >/dev/null; }; then
  echo "setup: building golangci-lint $golangci_version (a few minutes, once)"
  GOBIN="$PWD/bin/tools" go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$golangci_version"
fi
echo "setup: ready (go $go_have, node $node_have)"
