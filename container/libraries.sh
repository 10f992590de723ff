#!/bin/sh
# Prints the names of the packages that hold the libraries of these programs, one a line.
set -eu
ldd "$@" | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p' | sort -u | xargs realpath | while read -r library; do
  # /lib is a link to /usr/lib, but Debian 12 knows some libraries only by their path in /lib
  dpkg -S "$library" 2> /dev/null || dpkg -S "${library#/usr}"
done | sed 's/:.*//' | sort -u
