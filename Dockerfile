# Backups of a PostgreSQL, MySQL or MariaDB database to S3-compatible storage, on a schedule.
#   docker build -t backup_scripts .
#   docker run --rm backup_scripts help

# The images below are arguments, so that a mirror or a digest can take their place.
ARG BUN_VERSION=1.4.5
ARG BUN_IMAGE=docker.io/oven/bun:${BUN_VERSION}-slim
ARG DEBIAN_IMAGE=docker.io/library/debian:trixie-slim

# One executable for all scripts, for the platform that the image is built for.
FROM ${BUN_IMAGE} AS build
WORKDIR /src
COPY package.json bun.lock bunfig.toml ./
RUN bun install --frozen-lockfile --production --ignore-scripts
COPY tsconfig.json ./
COPY scripts-src scripts-src
# help shows chapters of it
COPY backup_scripts/DOCUMENTATION.md backup_scripts/
RUN bun scripts-src/build.ts && ls backup_scripts | grep -v '\.md$' > scripts.txt

# The databases' client programs alone, without Perl and whatever else their packages bring.
FROM ${DEBIAN_IMAGE} AS clients
# PostgreSQL majors to take from PostgreSQL's own repository; where that cannot be reached (or when this is empty), Debian's own one.
ARG PG_MAJORS="13 14 15 16 17 18"
ARG PGDG_URL=https://apt.postgresql.org/pub/repos/apt
COPY container/clients.sh container/libraries.sh /
RUN ["sh", "/clients.sh", "/clients"]

FROM ${DEBIAN_IMAGE}
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates tini tzdata \
 && useradd --uid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin backup_scripts \
 && install -d -m 0700 -o backup_scripts -g backup_scripts /data \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log
COPY --from=clients /clients /
# the programs' libraries, from where the programs are; a program that does not run ends the build
RUN apt-get update --error-on=any \
 && xargs apt-get install -y --no-install-recommends < /usr/share/backup_scripts/packages \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log \
 && for program in /usr/lib/postgresql/*/bin/* /usr/bin/mariadb /usr/bin/mariadb-dump; do "$program" --version || exit 1; done
COPY --from=build /src/backup_scripts/backup_scripts /opt/backup_scripts/backup_scripts
RUN --mount=type=bind,from=build,source=/src/scripts.txt,target=/scripts.txt \
    for script in $(cat /scripts.txt); do [ -e "/opt/backup_scripts/$script" ] || ln -s backup_scripts "/opt/backup_scripts/$script"; done

ENV PATH=/opt/backup_scripts:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/data \
    BACKUP_DIR=/data/backups \
    # hints name the environment then, not a settings file
    BACKUP_SCRIPTS_IMAGE=true \
    BACKUP_KEEP_LOCAL=false \
    BACKUP_CATCH_UP=true \
    # docker stop waits for ten seconds; with a longer stop_grace_period, a longer time is better here
    BACKUP_GRACE_SECONDS=7 \
    LOG_FORMAT=json

# The state of the schedule, the lock, and local backups where they are wanted.
VOLUME /data
WORKDIR /data
USER 10001:10001

# tini is process 1: it passes signals on and buries orphans.
ENTRYPOINT ["tini", "--"]
CMD ["schedule"]
HEALTHCHECK --interval=60s --timeout=30s --start-period=30s --retries=3 CMD ["schedule", "--check"]

ARG VERSION=0.2.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="backup_scripts" \
      org.opencontainers.image.description="Scheduled, proven backups of PostgreSQL, MySQL and MariaDB to S3-compatible storage" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
