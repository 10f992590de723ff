#!/bin/sh
# Collects the databases' client programs into the folder $1: the programs, the apt source that their libraries come
# from, and the names of the packages that hold those libraries (usr/share/backup_scripts/packages).
# PG_MAJORS: the PostgreSQL majors to take from PostgreSQL's own repository (PGDG), PGDG_URL.
set -eu
out=$1
export DEBIAN_FRONTEND=noninteractive
install="apt-get install -y -q --no-install-recommends"

apt-get update -q
# brings PGDG's key, under Debian's own signature
$install ca-certificates postgresql-common

use_pgdg() {
  . /etc/os-release
  key=/usr/share/keyrings/pgdg.gpg
  source=/etc/apt/sources.list.d/pgdg.list
  mkdir -p "$out${key%/*}" "$out${source%/*}"
  cp /usr/share/postgresql-common/pgdg/apt.postgresql.org.gpg $key
  echo "deb [signed-by=$key] $PGDG_URL $VERSION_CODENAME-pgdg main" > $source
  only="-o Dir::Etc::sourcelist=$source -o Dir::Etc::sourceparts=/dev/null -o APT::Get::List-Cleanup=0"
  if apt-get update -q --error-on=any -o Acquire::Retries=0 -o Acquire::https::Timeout=15 $only; then
    cp $key "$out$key"
    cp $source "$out$source"
    return 0
  fi
  rm $source $key
  return 1
}

packages=""
if [ -n "$PG_MAJORS" ] && use_pgdg; then
  for major in $PG_MAJORS; do
    if apt-cache show "postgresql-client-$major" > /dev/null 2>&1; then packages="$packages postgresql-client-$major"
    else echo "clients.sh: $PGDG_URL has no PostgreSQL client $major: the image does without" >&2; fi
  done
fi
[ -n "$packages" ] || echo "clients.sh: the image gets Debian's own PostgreSQL client alone" >&2
$install ${packages:-postgresql-client} mariadb-client

for dir in /usr/lib/postgresql/*/bin; do
  mkdir -p "$out$dir"
  cp "$dir/pg_dump" "$dir/pg_restore" "$dir/psql" "$out$dir"
done
mkdir -p "$out/usr/bin"
cp /usr/bin/mariadb /usr/bin/mariadb-dump "$out/usr/bin"

# libmariadb3 holds the login methods (MySQL's caching_sha2_password), which no program is linked to
mkdir -p "$out/usr/share/backup_scripts"
find "$out/usr/lib" "$out/usr/bin" -type f -exec sh /libraries.sh {} + > "$out/usr/share/backup_scripts/packages"
echo libmariadb3 >> "$out/usr/share/backup_scripts/packages"
