#!/bin/sh
# Two test hosts on one machine: network namespaces NAME-server and NAME-client
# joined by a veth pair in 10.200.X.0/24 (X is derived from NAME).
#
#   netns.sh up NAME     makes them and prints what it made, as shell assignments
#   netns.sh down NAME   removes them; no error if they are not there
#
# Needs root and iproute2. Run a program on a host: ip netns exec NAME-client ...
set -eu

usage() {
	echo "usage: $0 up|down NAME" >&2
	exit 2
}

[ $# -eq 2 ] || usage
action=$1
name=$2
case $name in
'' | *[!a-z0-9-]*)
	echo "$0: NAME may hold a-z, 0-9 and '-' only" >&2
	exit 2
	;;
esac

server=$name-server
client=$name-client

down() {
	# A namespace takes its end of the veth pair, and so the whole pair, with it.
	for ns in "$server" "$client"; do
		if ip netns list | grep -q "^$ns\( \|\$\)"; then
			ip netns delete "$ns"
		fi
	done
}

up() {
	if [ "$(id -u)" -ne 0 ]; then
		echo "$0: making network namespaces needs root" >&2
		exit 1
	fi
	x=$(($(printf %s "$name" | cksum | cut -d' ' -f1) % 254 + 1))
	down
	trap 'down' EXIT INT TERM
	ip netns add "$server"
	ip netns add "$client"
	# Both ends are born inside their namespaces: no name can clash outside.
	ip link add eth0 netns "$server" type veth peer name eth0 netns "$client"
	for end in "$server:10.200.$x.1" "$client:10.200.$x.2"; do
		ns=${end%%:*}
		ip -n "$ns" address add "${end#*:}/24" dev eth0
		ip -n "$ns" link set lo up
		ip -n "$ns" link set eth0 up
	done
	# An address under duplicate detection (RFC 4862, 5.4) cannot be bound yet.
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
		if [ -z "$(ip -n "$server" address show tentative)$(ip -n "$client" address show tentative)" ]; then
			break
		fi
		sleep 0.1
	done
	trap - EXIT INT TERM
	echo "SERVER_NS=$server"
	echo "CLIENT_NS=$client"
	echo "SERVER_ADDR=10.200.$x.1"
	echo "CLIENT_ADDR=10.200.$x.2"
}

case $action in
up) up ;;
down) down ;;
*) usage ;;
esac
