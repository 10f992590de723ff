#!/bin/sh
# Stands in for the published PostgreSQL image: a server whose superuser has POSTGRES_PASSWORD.
set -eu
data=/data/pg
if [ ! -e $data ]; then
  printf '%s' "$POSTGRES_PASSWORD" > /tmp/password
  /pg/bin/initdb -D $data --no-sync -U postgres -E UTF8 --locale=C.UTF-8 --auth-local=trust --auth-host=scram-sha-256 --pwfile=/tmp/password
  echo "host all all all scram-sha-256" >> $data/pg_hba.conf
fi
exec /pg/bin/postgres -D $data -c fsync=off -c listen_addresses='*' -c unix_socket_directories=/tmp
