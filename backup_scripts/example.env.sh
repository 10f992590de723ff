# Settings of backup_scripts.
#
#   cp example.env.sh .env.sh && chmod 600 .env.sh
#
# Then fill in what is required, and remove the # in front of any other setting that you want to change.
#
# - Every line is NAME='value', as in /bin/sh: no spaces around =, a comment has a space before its #.
# - A value that contains a ' goes into double quotes. It must then contain no $ ` \ or ".
# - An empty value counts as not set. A variable of the same name in the environment wins.
# - A secret may stand in a file of its own instead: write NAME_FILE='/path' in place of NAME='value'.
#
# ./help explains every setting, ./help NAME one of them. This file is generated: write your changes into .env.sh.

# --------------------------------------------------------------------------------------------------
# Required: the database (in parts, or as a URL or connection string instead)
# --------------------------------------------------------------------------------------------------

# The kind of database, when it is named in parts. Values: postgresql, mysql, mariadb. Default:
# postgresql.
DB_TYPE='postgresql'

# Host name or address of the database server, or the Unix socket (a path that starts with /).
# Default: localhost.
DB_HOST=''

# Port of the database server. Values: 1 to 65535. Default: 5432 for PostgreSQL, 3306 for MySQL and
# MariaDB.
DB_PORT=''

# Name of the database.
DB_NAME=''

# User to log in as. Default: the operating system's user.
DB_USER=''

# Password of that user, exactly as it is: nothing is encoded. Secret: or DB_PASSWORD_FILE.
DB_PASSWORD=''

# The database as a URL. Set exactly one of DATABASE_URL, POSTGRES_CONNECTION_STRING and the DB_...
# settings. Special characters in the password are percent-encoded (@ is %40, # is %23, % is %25).
# Values: postgres://..., postgresql://... (TLS: ?sslmode=require), mysql://..., mariadb://... (TLS:
# ?ssl-mode=REQUIRED). Secret: or DATABASE_URL_FILE.
#DATABASE_URL='postgres://backup:secret@db.example.com:5432/app?sslmode=require'

# The PostgreSQL database as a libpq connection string; every libpq option is passed through.
# Values: a URI (postgres://...) or libpq's keyword form (host=... dbname=...). Secret: or
# POSTGRES_CONNECTION_STRING_FILE.
#POSTGRES_CONNECTION_STRING='host=db.example.com dbname=app user=backup password=secret sslmode=verify-full'

# --------------------------------------------------------------------------------------------------
# Required for sync, backup --upload and schedule: S3-compatible storage
# --------------------------------------------------------------------------------------------------

# Bucket that receives the backups.
S3_BUCKET=''

# Access key. Set both keys, or neither to use AWS's own chain (profile, instance role). Default:
# AWS's own credential chain.
S3_ACCESS_KEY=''

# Secret key that belongs to S3_ACCESS_KEY. Secret: or S3_SECRET_KEY_FILE.
S3_SECRET_KEY=''

# Endpoint of the S3-compatible storage. Not needed for AWS. Default: AWS.
#S3_URL='https://s3.example.com'

# Region of the bucket. Default: us-east-1.
#S3_REGION='eu-central-1'

# Folder (key prefix) within the bucket. Default: the bucket's top.
#S3_PATH='production/app'

# --------------------------------------------------------------------------------------------------
# Required for mail, unless the mode is NEVER
# --------------------------------------------------------------------------------------------------

# When to send a mail: after every run, only when something is wrong (recommended), only when a run
# failed, or never. The webhook obeys it too. Values: SUCCESS_AND_FAILURE, WARNING_AND_FAILURE,
# FAILURE_ONLY, NEVER. Default: NEVER.
EMAIL_NOTIFY_MODE='NEVER'

# Sender of the mails.
EMAIL_FROM=''

# Who receives the mails; several are separated by commas.
EMAIL_TO=''

# Mail server.
SMTP_HOST=''

# Port of the mail server. Values: 1 to 65535. Default: 587.
SMTP_PORT=''

# User to log in to the mail server as. Default: no login.
SMTP_USER=''

# Password of that user. Secret: or SMTP_PASSWORD_FILE.
SMTP_PASSWORD=''

# --------------------------------------------------------------------------------------------------
# Optional: general
# --------------------------------------------------------------------------------------------------

# The name of this installation in mails and logs. It also says whose a backup is: set it when two
# servers with databases of the same name use one S3_PATH, when a server is cloned, and before a
# database is moved to another server. Default: the host name.
#SITE_NAME='shop-production'

# File (PEM) with additional certificate authorities to trust for S3, mail and webhooks. A relative
# path starts at the executables' folder. Default: what AWS_CA_BUNDLE names, if set.
#CA_FILE='/etc/ssl/certs/company-ca.pem'

# --------------------------------------------------------------------------------------------------
# Optional: database
# --------------------------------------------------------------------------------------------------

# Several databases of the server, separated by commas. Each is backed up into a file of its own. *
# and ? match any characters, ! in front leaves databases out, and a backslash makes the next
# character an ordinary one. Patterns never match system databases, templates, or databases that
# restores make. DB_NAME, or the URL's, is then only the database to log in through. Default: the
# one database that DB_NAME or the URL names.
#DB_NAMES='*,!scratch_*'

# Folder of the database's client programs (pg_dump and psql, or mariadb-dump and mariadb) to use.
# Default: the usual places of the operating system, then PATH.
#DB_CLIENT_DIR='/usr/lib/postgresql/17/bin'

# Extra options for the dump program; they are kept in the manifest, so no secrets here.
#DB_DUMP_OPTIONS='--exclude-table-data=log'

# --------------------------------------------------------------------------------------------------
# Optional: backup files
# --------------------------------------------------------------------------------------------------

# Folder of the backup files. A relative path starts at the executables' folder. Default: backups
# (/data/backups in the container image).
#BACKUP_DIR='/var/backups/app'

# How backup files are compressed. Values: gzip, zstd, none. Default: gzip.
#BACKUP_COMPRESSION='gzip'

# How hard to compress: a higher level is smaller and slower. Values: 1 to 12 for gzip, 1 to 19 for
# zstd. Default: 5 for gzip, 3 for zstd.
#BACKUP_COMPRESSION_LEVEL='6'

# How many blocks are compressed at the same time, and over how many connections restore loads (at
# most 8 when it is not set). Lower it to leave CPU and connections to other programs. Values: 1 to
# 64. Default: the cores available to the program.
#BACKUP_JOBS='2'

# Also back up the server's roles (PostgreSQL) or accounts (MySQL, MariaDB), with what they may do,
# as @roles_TIME.sql.gz. restore --all creates those that are missing on a new server. Values: true,
# false. Default: true with DB_NAMES, else false.
#BACKUP_ROLES='true'

# false: stream the backup straight to S3 and keep no local file (needs backup --upload or
# schedule). Values: true, false. Default: true (false in the container image).
#BACKUP_KEEP_LOCAL='true'

# --------------------------------------------------------------------------------------------------
# Optional: retention
# --------------------------------------------------------------------------------------------------

# How many days to keep local backups. After a good backup, older ones of this database are deleted,
# unless another rule keeps them. Values: 1 to 36500. Default: keep all.
#LOCAL_RETENTION_DAYS='14'

# Keep this many of the newest local backups. Applied to each database after a good backup. Values:
# 1 to 36500.
#LOCAL_KEEP_LAST='3'

# Keep the newest of the local backups of each day (UTC), for this many days that have one. Applied
# to each database after a good backup. Values: 1 to 36500.
#LOCAL_KEEP_DAILY='7'

# Keep the newest of the local backups of each week (Monday to Sunday, UTC), for this many weeks
# that have one. Applied to each database after a good backup. Values: 1 to 36500.
#LOCAL_KEEP_WEEKLY='4'

# Keep the newest of the local backups of each month, for this many months that have one. Applied to
# each database after a good backup. Values: 1 to 36500.
#LOCAL_KEEP_MONTHLY='12'

# Keep the newest of the local backups of each year, for this many years that have one. Applied to
# each database after a good backup. Values: 1 to 36500.
#LOCAL_KEEP_YEARLY='3'

# How many days to keep backups in S3. After a good upload, older ones of this database are deleted,
# unless another rule keeps them. Values: 1 to 36500. Default: keep all.
#BACKUP_RETENTION_DAYS='90'

# Keep this many of the newest backups in S3. Applied to each database after a good upload. Values:
# 1 to 36500.
#BACKUP_KEEP_LAST='3'

# Keep the newest of the backups in S3 of each day (UTC), for this many days that have one. Applied
# to each database after a good upload. Values: 1 to 36500.
#BACKUP_KEEP_DAILY='7'

# Keep the newest of the backups in S3 of each week (Monday to Sunday, UTC), for this many weeks
# that have one. Applied to each database after a good upload. Values: 1 to 36500.
#BACKUP_KEEP_WEEKLY='4'

# Keep the newest of the backups in S3 of each month, for this many months that have one. Applied to
# each database after a good upload. Values: 1 to 36500.
#BACKUP_KEEP_MONTHLY='12'

# Keep the newest of the backups in S3 of each year, for this many years that have one. Applied to
# each database after a good upload. Values: 1 to 36500.
#BACKUP_KEEP_YEARLY='3'

# --------------------------------------------------------------------------------------------------
# Optional: proofs
# --------------------------------------------------------------------------------------------------

# Server on which `verify` restores backups to prove them, as a URL like DATABASE_URL. Databases are
# created and dropped only there. Default: the server of the database itself. Secret: or
# VERIFY_DATABASE_URL_FILE.
#VERIFY_DATABASE_URL='postgres://verify:secret@scratch.example.com:5432/postgres'

# When `schedule` runs `verify`, as a cron expression in BACKUP_TIMEZONE. Values: as
# BACKUP_INTERVAL. Default: never.
#VERIFY_INTERVAL='30 4 * * 0'

# A query that `verify` runs on the restored copy; its one value must be true. With several
# databases, write lines PATTERN: QUERY, with patterns as in DB_NAMES.
#VERIFY_QUERY='SELECT count(*) > 1000 FROM orders'

# --------------------------------------------------------------------------------------------------
# Optional: encryption and signatures
# --------------------------------------------------------------------------------------------------

# Public keys to which backups are encrypted, separated by commas. Each of their private keys alone
# can decrypt the backups. `help --new-key` makes a pair. The stock program age decrypts the files
# too. Default: not encrypted.
#AGE_RECIPIENTS='age1-the-public-key-that-help-new-key-prints'

# File with the private key, for restore and verify only. Keep it off the machine that only backs
# up. A relative path starts at the executables' folder.
#AGE_IDENTITY_FILE='/root/backup-key.txt'

# Secret key that signs what backup writes. Once it is set, restore and verify refuse backups that
# are not signed with it. To change it, put the new key in front of the old one, separated by a
# space: the first signs, both verify. Values: 20 characters or more. Default: not signed. Secret:
# or MANIFEST_KEY_FILE.
#MANIFEST_KEY='what openssl rand -hex 32 prints'

# --------------------------------------------------------------------------------------------------
# Optional: schedule (container)
# --------------------------------------------------------------------------------------------------

# When `schedule` runs a backup, as a cron expression. Values: 5 or 6 fields (with seconds first),
# or @hourly, @daily, @weekly, @monthly, @yearly.
#BACKUP_INTERVAL='0 3 * * *'

# The time zone in which BACKUP_INTERVAL is read. Values: a name of the IANA time zone database.
# Default: UTC.
#BACKUP_TIMEZONE='Europe/Berlin'

# Whether `schedule` runs a backup at its start when one was missed while it was off. Values: true,
# false. Default: false (true in the container image).
#BACKUP_CATCH_UP='true'

# How many seconds `schedule` lets a running backup finish after SIGTERM before it is stopped
# cleanly. Keep it below the container's stop_grace_period. Values: 0 to 86400. Default: 25 (7 in
# the container image).
#BACKUP_GRACE_SECONDS='25'

# File to which metrics are written after every run, for Prometheus node_exporter's textfile
# collector.
#METRICS_FILE='/var/lib/node_exporter/textfile/backup_scripts.prom'

# File to which an HTML page is written after every run: 90 days of each database, sizes, proofs,
# what retention deletes next. Or its location in S3, below S3_PATH; keep that bucket private, or
# the page tells everybody the names of your databases. Values: a path, or
# s3://BUCKET/S3_PATH/report.html.
#REPORT_FILE='/var/www/backups/report.html'

# --------------------------------------------------------------------------------------------------
# Optional: S3-compatible storage
# --------------------------------------------------------------------------------------------------

# Session token of temporary credentials. Secret: or S3_SESSION_TOKEN_FILE.
#S3_SESSION_TOKEN='IQoJb3JpZ2luX2VjEXAMPLE'

# Address the bucket as a path (https://host/bucket) instead of a host (https://bucket.host).
# Values: true, false. Default: true when S3_URL is set, else false.
#S3_FORCE_PATH_STYLE='true'

# Storage class of uploaded backups. Default: the bucket's default.
#S3_STORAGE_CLASS='STANDARD_IA'

# `sync` also deletes backups from S3 that no longer exist in BACKUP_DIR. Values: true, false.
# Default: false.
#REMOTE_S3_DELETE='false'

# What `sync` uses: sdk needs nothing installed; aws-cli runs `aws s3 sync`. Values: sdk, aws-cli.
# Default: sdk.
#SYNC_CLIENT='sdk'

# --------------------------------------------------------------------------------------------------
# Optional: mail
# --------------------------------------------------------------------------------------------------

# Encryption: starttls (required, never skipped), tls from the first byte, or none. Values:
# starttls, tls, none. Default: tls on port 465, else starttls.
#SMTP_SECURITY='starttls'

# --------------------------------------------------------------------------------------------------
# Optional: other notices
# --------------------------------------------------------------------------------------------------

# Receives the outcome of a run by POST, when EMAIL_NOTIFY_MODE would send a mail. Several addresses
# are separated by spaces. Secret: or NOTIFY_WEBHOOK_URL_FILE.
#NOTIFY_WEBHOOK_URL='https://hooks.slack.com/services/T000/B000/XXXX'

# What the webhook receives: the complete outcome (json), or a short message for a chat or push
# service (Mattermost and Rocket.Chat take slack). For several addresses: one format for all, or one
# for each, separated by spaces. Values: json, slack, discord, teams, ntfy, telegram, gotify.
# Default: the service that the address belongs to, else json.
#NOTIFY_WEBHOOK_FORMAT='slack'

# Dead man's switch (healthchecks.io, a push monitor of Uptime Kuma, and similar services): pinged
# when a run starts, succeeds or fails, by every script that runs with it. Where sync and restore
# share the settings file, set it for backup alone: HEALTHCHECK_URL_FILE=/path in front of the
# command in its crontab. Secret: or HEALTHCHECK_URL_FILE.
#HEALTHCHECK_URL='https://hc-ping.com/00000000-0000-0000-0000-000000000000'

# --------------------------------------------------------------------------------------------------
# Optional: log
# --------------------------------------------------------------------------------------------------

# The least important lines that are still logged. Values: debug, info, warn, error. Default: info.
#LOG_LEVEL='info'

# One line of text or one JSON object a line. Values: text, json. Default: text (json in the
# container image).
#LOG_FORMAT='text'

# --------------------------------------------------------------------------------------------------
# What providers of S3-compatible storage need
# --------------------------------------------------------------------------------------------------

# AWS S3. The region of the bucket; no S3_URL. Without keys, AWS's own chain is used (profile,
# instance role).
#S3_REGION='eu-central-1'

# MinIO. The address of the server's API, not that of its console.
#S3_URL='https://minio.example.com:9000'
#S3_REGION='us-east-1'

# DigitalOcean Spaces. The endpoint of the data centre, without the name of the Space in front;
# S3_BUCKET is the name of the Space.
#S3_URL='https://fra1.digitaloceanspaces.com'
#S3_REGION='fra1'

# Cloudflare R2. R2's page of the dashboard shows the account's id; an API token made there gives
# the keys.
#S3_URL='https://ACCOUNT_ID.r2.cloudflarestorage.com'
#S3_REGION='auto'

# Backblaze B2. The bucket's page shows the endpoint; the region is its second word. An application
# key gives the keys.
#S3_URL='https://s3.eu-central-003.backblazeb2.com'
#S3_REGION='eu-central-003'

# Ceph (RADOS Gateway). The address of the gateway. The region is its zonegroup, usually default.
#S3_URL='https://rgw.example.com'
#S3_REGION='default'
