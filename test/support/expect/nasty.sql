-- The nasty database: what has broken dumps and restores, in one place. Run by psql as superuser, in an empty database.
\set QUIET on
SELECT current_setting('server_version_num')::int >= 140000 AS v14,
       current_setting('server_version_num')::int >= 150000 AS v15,
       current_setting('server_version_num')::int >= 170000 AS v17,
       current_setting('server_version_num')::int >= 180000 AS v18 \gset
SET client_min_messages = error;

-- Schemas, owners, extensions -----------------------------------------------------------------------------------------
CREATE SCHEMA extensions;
CREATE EXTENSION hstore SCHEMA extensions;
CREATE EXTENSION citext SCHEMA extensions;
CREATE EXTENSION pg_trgm SCHEMA extensions;
CREATE EXTENSION btree_gist SCHEMA extensions;
CREATE EXTENSION postgres_fdw SCHEMA extensions;
CREATE SCHEMA sales AUTHORIZATION nasty_owner;
CREATE SCHEMA "Größe & ""Co""; -- $$ /*" AUTHORIZATION "Nasty Röle";
CREATE SCHEMA "select";
CREATE SCHEMA empty_schema;
COMMENT ON SCHEMA sales IS E'it''s a "comment" with a \\ backslash\nand a second line;\n\\connect evil\nCOPY sales.x FROM stdin;\n-- PostgreSQL database dump complete\n';

-- Words that psql looks for in the beginning of a routine
CREATE FUNCTION sales.days(begin date, "end" date) RETURNS int LANGUAGE sql AS 'SELECT $2 - $1';
CREATE FUNCTION sales.spans() RETURNS TABLE(begin date, "case" int) LANGUAGE sql AS 'SELECT date ''2026-01-01'', 1';
CREATE PROCEDURE sales.note(IN begin int) LANGUAGE sql AS 'SELECT $1';

-- Types ---------------------------------------------------------------------------------------------------------------
CREATE TYPE sales.mood AS ENUM ('sad', 'o''k', 'häppy', 'with space', '');
CREATE TYPE sales.address AS (street text, "Hausnummer" int, tags text[], "dropped?" date);
ALTER TYPE sales.address DROP ATTRIBUTE "dropped?";
CREATE DOMAIN sales.email AS extensions.citext CHECK (VALUE ~ '^[^@]+@[^@]+$') CHECK (length(VALUE) < 200);
CREATE DOMAIN sales.positive AS numeric(20,4) DEFAULT 1 NOT NULL CONSTRAINT "must be > 0" CHECK (VALUE > 0);
CREATE DOMAIN sales.moods AS sales.mood[];
CREATE TYPE sales.float_range AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE COLLATION sales.german_phone (provider = icu, locale = 'de-u-co-phonebk');
CREATE COLLATION sales.ignore_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);

CREATE TABLE sales.every_type (
  id bigint GENERATED ALWAYS AS IDENTITY (START 1000 INCREMENT 7 CACHE 3) PRIMARY KEY,
  c_smallint smallint, c_int int, c_bigint bigint, c_numeric numeric, c_numeric_s numeric(30, 10), c_real real,
  c_double double precision, c_money money, c_bool boolean, c_char char(5), c_varchar varchar(20), c_text text,
  c_name name, c_bytea bytea, c_date date, c_time time(3), c_timetz timetz, c_ts timestamp, c_tstz timestamptz,
  c_interval interval, c_uuid uuid, c_json json, c_jsonb jsonb, c_xml xml, c_inet inet, c_cidr cidr, c_mac macaddr,
  c_mac8 macaddr8, c_bit bit(5), c_varbit bit varying, c_point point, c_line line, c_lseg lseg, c_box box, c_path path,
  c_polygon polygon, c_circle circle, c_tsvector tsvector, c_tsquery tsquery, c_int_array int[], c_text_array text[][],
  c_int4range int4range, c_numrange numrange, c_tstzrange tstzrange, c_daterange daterange, c_oid oid, c_regclass regclass,
  c_pg_lsn pg_lsn, c_jsonpath jsonpath, c_mood sales.mood, c_moods sales.moods, c_address sales.address,
  c_addresses sales.address[], c_email sales.email, c_positive sales.positive, c_float_range sales.float_range,
  c_hstore extensions.hstore, c_citext extensions.citext,
  c_phone text COLLATE sales.german_phone, c_ignore text COLLATE sales.ignore_case
);
INSERT INTO sales.every_type OVERRIDING SYSTEM VALUE VALUES (
  1, -32768, -2147483648, -9223372036854775808, 'NaN', 12345678901234567890.0123456789, 'NaN', 'Infinity', '-92233720368547758.08',
  true, 'ab', 'vär', E'tab\tcr\rlf\ncrlf\r\nback\\slash\bff\fvt\v', 'name', '\x00ff5c2e0a', 'infinity', '24:00:00',
  '23:59:59.999999-15:59', '-infinity', '294276-12-31 23:59:59.999999+00', '-178000000 years 3 mons -4 days 00:00:00.000001',
  'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a":   1, "a": 2,"n":null}', '{"deep": [1, {"x": "\\.", "u": "\u00e4"}]}',
  '<a b="c">&lt;text&gt;</a>', '2001:db8::1/64', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', B'10101', B'1',
  '(1.5,-2)', '{1,-1,0}', '[(0,0),(1,1)]', '(2,2),(0,0)', '[(0,0),(1,1),(2,0)]', '((0,0),(1,1),(2,0))', '<(0,0),5>',
  $$'a':1A 'fat cat':2,3B$$, $$'super' & !'cat':*AB$$, '[-2:0]={1,NULL,3}', '{{"a,b","c\"d"},{"{}","NULL"}}', '(,5]',
  'empty', '[2020-01-01 00:00:00+02,)', '[2020-02-28,2020-03-01)', 4294967295, 'sales.every_type', '16/B374D848',
  '$.a[*] ? (@.x > 1)', 'häppy', '{sad,"with space",""}', '("a ""street"", 1",-1,"{x,NULL,""y z""}")',
  ARRAY[ROW('s', NULL, NULL)::sales.address, NULL], 'Me@Example.ORG', 0.0001, '[-Infinity,Infinity]',
  'k=>"v\"w", n=>NULL', 'CaseLess', 'Äpfel', 'MiXeD'
);
INSERT INTO sales.every_type (c_text, c_positive, c_date, c_real) VALUES (NULL, DEFAULT, '4713-01-01 BC', '-Infinity'),
  ('', 99999999.9999, '5874897-12-31', 1e-37), (E'\u00e4\u4e2d\U0001F600\u200F\u0301', 1, NULL, 3.4028235e38);

-- Text that looks like commands ---------------------------------------------------------------------------------------
CREATE TABLE sales.looks_like_sql (line text);
INSERT INTO sales.looks_like_sql SELECT unnest(ARRAY[
  '\.', '\\.', '\N', '\restrict abc', '\unrestrict abc', '\connect evil', '\! touch /tmp/evil', '\i /etc/passwd', '\q',
  'BEGIN;', 'COMMIT;', 'ROLLBACK;', 'DROP TABLE sales.looks_like_sql;', 'COPY sales.looks_like_sql (line) FROM stdin;',
  'ALTER TABLE sales.looks_like_sql OWNER TO nasty_reader;', 'GRANT ALL ON TABLE sales.looks_like_sql TO PUBLIC;',
  'REVOKE ALL ON SCHEMA public FROM PUBLIC;', 'SET SESSION AUTHORIZATION nasty_reader;', 'SET ROLE nasty_reader;',
  'CREATE EXTENSION missing_extension;', 'CREATE TABLE public.ghost (', 'CREATE SCHEMA ghost;', 'DROP SCHEMA IF EXISTS sales;',
  '-- PostgreSQL database dump', '-- PostgreSQL database dump complete', '-- Dump completed', '--', '-- Dumped from database version 99.9',
  '-- Name: ghost; Type: TABLE; Schema: public; Owner: ghost', 'SELECT pg_catalog.lo_create(1);', 'SELECT pg_catalog.lo_unlink(1);',
  '$$', '$_$', '''', '"', ';', '', ' ', '\', 'a\', E'a\nCOMMIT;\nb', E'\n', E'\r\n', E'\t', E'\x01\x1b[31m\x7f', '/*', '*/', 'äöü €', '中文', '😀',
  'NULL', 'null', E'first\tsecond', 'EOF', '\u0041', '%s %d', '${HOME} $(id) `id`'
]);
CREATE TABLE "Größe & ""Co""; -- $$ /*"."Tabelle mit ' "" ; -- $$ \. /*" (
  "Spalte 1" int PRIMARY KEY, "sp""alte;" text DEFAULT E'it''s\n\\.\nCOMMIT;\n', "$$" text, "order" int, "日本語" text,
  CONSTRAINT "prüfe; --" CHECK ("sp""alte;" <> E'\nBEGIN;\nCOPY x FROM stdin;\n')
);
INSERT INTO "Größe & ""Co""; -- $$ /*"."Tabelle mit ' "" ; -- $$ \. /*" VALUES (1, DEFAULT, '$$', 1, '値'), (2, NULL, '', NULL, NULL);
COMMENT ON TABLE "Größe & ""Co""; -- $$ /*"."Tabelle mit ' "" ; -- $$ \. /*" IS E'\\.\nCOMMIT;\nALTER TABLE a OWNER TO b;\n\\! id';
COMMENT ON COLUMN "Größe & ""Co""; -- $$ /*"."Tabelle mit ' "" ; -- $$ \. /*"."日本語" IS 'c''est ça';
ALTER TABLE "Größe & ""Co""; -- $$ /*"."Tabelle mit ' "" ; -- $$ \. /*" OWNER TO "Nasty Röle";
SELECT format('CREATE TABLE "select".%I (%I int)', E'line\nbreak\n\\! touch /tmp/evil\nCOMMIT;', E'new\nline') \gexec
CREATE TABLE "select"."table" ("from" int, "where" int, "user" text DEFAULT current_user);
CREATE TABLE sales.no_columns ();
INSERT INTO sales.no_columns DEFAULT VALUES;
INSERT INTO sales.no_columns DEFAULT VALUES;
CREATE TABLE sales.empty_table (a int, b text);
CREATE TABLE sales.dropped_columns (a int, gone text, b text NOT NULL, gone2 int, c int DEFAULT 7);
INSERT INTO sales.dropped_columns VALUES (1, 'x', 'y', 2, 3);
ALTER TABLE sales.dropped_columns DROP gone, DROP gone2, ADD d int DEFAULT 42;

-- A row of 50 MB, and one that is hard to compress --------------------------------------------------------------------
CREATE TABLE sales.huge (id int PRIMARY KEY, body text, raw bytea);
ALTER TABLE sales.huge ALTER body SET STORAGE EXTERNAL, ALTER raw SET STORAGE EXTENDED;
INSERT INTO sales.huge VALUES (1, repeat(md5('a') || E'\t\\.\n', 1500000), NULL),
  (2, (SELECT string_agg(md5(i::text), E'\n' ORDER BY i) FROM generate_series(1, 60000) i), decode(repeat('00ff5c0a', 200000), 'hex'));

-- Generated and identity columns, sequences ---------------------------------------------------------------------------
CREATE SEQUENCE sales.counter AS smallint START 5 INCREMENT -3 MINVALUE -100 MAXVALUE 5 CYCLE;
SELECT nextval('sales.counter'), nextval('sales.counter');
CREATE SEQUENCE sales.untouched;
CREATE TABLE sales.computed (
  id int GENERATED BY DEFAULT AS IDENTITY, price numeric NOT NULL, qty int NOT NULL,
  total numeric GENERATED ALWAYS AS (price * qty) STORED, n int DEFAULT nextval('sales.counter'), serial_no serial,
  CONSTRAINT computed_pk PRIMARY KEY (id) INCLUDE (price)
);
INSERT INTO sales.computed (price, qty) SELECT i * 1.5, i FROM generate_series(1, 20) i;
ALTER SEQUENCE sales.computed_id_seq RESTART 500;
\if :v14
ALTER TABLE sales.every_type ADD c_multirange int4multirange DEFAULT '{[1,3),[5,7)}';
\endif
\if :v18
CREATE TABLE sales.virtual_columns (a int CONSTRAINT "a is there" NOT NULL, b int GENERATED ALWAYS AS (a * 2) VIRTUAL);
INSERT INTO sales.virtual_columns VALUES (21);
CREATE TABLE sales.bookings (room int, during daterange, CONSTRAINT no_overlap PRIMARY KEY (room, during WITHOUT OVERLAPS));
INSERT INTO sales.bookings VALUES (1, '[2025-01-01,2025-01-05)');
ALTER TABLE sales.computed ADD CONSTRAINT "qty later" CHECK (qty > 0) NOT ENFORCED;
\endif

-- Foreign keys in circles, exclusion, deferrable, not valid -----------------------------------------------------------
CREATE TABLE sales.chicken (id int PRIMARY KEY, egg int NOT NULL);
CREATE TABLE sales.egg (id int PRIMARY KEY, chicken int NOT NULL REFERENCES sales.chicken DEFERRABLE INITIALLY DEFERRED);
BEGIN;
INSERT INTO sales.chicken VALUES (1, 2), (2, 1);
INSERT INTO sales.egg VALUES (1, 1), (2, 2);
COMMIT;
ALTER TABLE sales.chicken ADD FOREIGN KEY (egg) REFERENCES sales.egg ON DELETE CASCADE;
CREATE TABLE sales.tree (id int PRIMARY KEY, parent int REFERENCES sales.tree ON DELETE SET NULL);
INSERT INTO sales.tree VALUES (1, NULL);
INSERT INTO sales.tree SELECT i, i - 1 FROM generate_series(2, 50) i;
UPDATE sales.tree SET parent = 50 WHERE id = 1;
CREATE TABLE sales.reservation (room int, during tsrange, EXCLUDE USING gist (room WITH =, during WITH &&));
INSERT INTO sales.reservation VALUES (1, '[2025-01-01,2025-01-02)'), (1, '[2025-01-02,2025-01-03)');
ALTER TABLE sales.empty_table ADD CONSTRAINT "not checked yet" CHECK (a > 0) NOT VALID;
\if :v15
CREATE TABLE sales.nulls_equal (a int, UNIQUE NULLS NOT DISTINCT (a));
INSERT INTO sales.nulls_equal VALUES (NULL), (1);
\endif

-- Partitions and inheritance ------------------------------------------------------------------------------------------
CREATE TABLE sales.orders (id bigint, day date NOT NULL, region text, amount numeric, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE sales.orders_2024 PARTITION OF sales.orders FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY RANGE (day);
CREATE TABLE sales."orders_2024 früh" PARTITION OF sales.orders_2024 FOR VALUES FROM (MINVALUE) TO ('2024-07-01');
CREATE TABLE "select".orders_2024_rest PARTITION OF sales.orders_2024 DEFAULT;
CREATE TABLE sales.orders_2025 (amount numeric, region text, day date NOT NULL, id bigint NOT NULL);
ALTER TABLE sales.orders ATTACH PARTITION sales.orders_2025 FOR VALUES FROM ('2025-01-01') TO (MAXVALUE);
CREATE TABLE sales.orders_old PARTITION OF sales.orders DEFAULT;
CREATE INDEX orders_amount ON sales.orders (amount DESC NULLS LAST) WHERE amount > 10;
INSERT INTO sales.orders SELECT i, date '2023-12-01' + i, (ARRAY['nord', 'süd', NULL, 'no''rd'])[1 + i % 4], i * 1.1 FROM generate_series(1, 500) i;
CREATE TABLE sales.hashed (k int, v text) PARTITION BY HASH (k);
CREATE TABLE sales.hashed_0 PARTITION OF sales.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE sales.hashed_1 PARTITION OF sales.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO sales.hashed SELECT i, 'v' || i FROM generate_series(1, 50) i;
CREATE TABLE sales.invoices (LIKE sales.orders, PRIMARY KEY (id, day), FOREIGN KEY (id, day) REFERENCES sales.orders);
INSERT INTO sales.invoices SELECT * FROM sales.orders WHERE id < 10;
CREATE TABLE sales.animal (name text, legs int DEFAULT 4);
CREATE TABLE sales.bird (wings int) INHERITS (sales.animal);
ALTER TABLE sales.bird ALTER legs SET DEFAULT 2;
INSERT INTO sales.bird VALUES ('tit', 2, 2);
INSERT INTO sales.animal VALUES ('cat');
CREATE TABLE sales.typed OF sales.address ("Hausnummer" WITH OPTIONS DEFAULT 5, PRIMARY KEY (street));

-- Functions, procedures, triggers, operators --------------------------------------------------------------------------
CREATE FUNCTION sales.shout(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $body$
BEGIN
  -- lines that a careless reader of the dump would take for statements
  /*
BEGIN;
COMMIT;
\.
\connect evil
COPY sales.looks_like_sql (line) FROM stdin;
ALTER TABLE sales.orders OWNER TO nasty_reader;
GRANT ALL ON TABLE sales.orders TO PUBLIC;
DROP SCHEMA IF EXISTS sales;
CREATE TABLE public.ghost_of_a_body (a int);
SELECT pg_catalog.lo_create('1');
-- PostgreSQL database dump complete
  */
  RETURN upper($1) || $$!$$ || $x$it's$x$;
END;
$body$;
CREATE FUNCTION sales.quoted_body() RETURNS text LANGUAGE sql AS 'SELECT ''it''''s
COMMIT;
\.
'' || E''\\n''';
CREATE PROCEDURE sales.commits(n int) LANGUAGE plpgsql AS $_$
BEGIN
  FOR i IN 1..n LOOP
COMMIT;
  END LOOP;
ROLLBACK;
END
$_$;
CREATE FUNCTION sales.many(VARIADIC a int[], OUT lo int, OUT hi int) RETURNS record LANGUAGE sql AS 'SELECT min(x), max(x) FROM unnest(a) x';
CREATE FUNCTION sales.rows_of(since date DEFAULT '2024-01-01', label text DEFAULT E'a\nCOMMIT;\n''b') RETURNS TABLE (id bigint, amount numeric)
  LANGUAGE sql STABLE SECURITY DEFINER COST 7 ROWS 50 SET search_path = sales, pg_temp SET work_mem = '8MB'
  AS $$ SELECT id, amount FROM orders WHERE day >= since $$;
\if :v14
CREATE FUNCTION sales.atomic(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT a + 1; END;
CREATE PROCEDURE sales.atomic_write(a text) BEGIN ATOMIC INSERT INTO sales.looks_like_sql VALUES (a); DELETE FROM sales.looks_like_sql WHERE line = a; END;
\endif
CREATE AGGREGATE sales.product(numeric) (SFUNC = numeric_mul, STYPE = numeric, INITCOND = '1');
CREATE OPERATOR sales.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq, COMMUTATOR = OPERATOR(sales.===));
CREATE FUNCTION sales.mood_number(sales.mood) RETURNS int LANGUAGE sql AS $$ SELECT 7 $$;
CREATE CAST (sales.mood AS int) WITH FUNCTION sales.mood_number(sales.mood) AS ASSIGNMENT;
CREATE FUNCTION sales.touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.c := coalesce(NEW.c, 0) + 1; RETURN NEW; END$$;
CREATE TRIGGER "before; write" BEFORE INSERT OR UPDATE OF b ON sales.dropped_columns FOR EACH ROW WHEN (NEW.b <> E'\nCOMMIT;\n') EXECUTE FUNCTION sales.touch();
CREATE TRIGGER disabled_one BEFORE UPDATE ON sales.dropped_columns FOR EACH ROW EXECUTE FUNCTION sales.touch();
ALTER TABLE sales.dropped_columns DISABLE TRIGGER disabled_one;
CREATE RULE keep_it AS ON DELETE TO sales.empty_table DO INSTEAD NOTHING;
CREATE FUNCTION sales.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN PERFORM 1; END$$;
CREATE EVENT TRIGGER watch_ddl ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION sales.on_ddl();

-- Views ---------------------------------------------------------------------------------------------------------------
CREATE VIEW sales.recent AS SELECT id, amount, E'\nCOMMIT;\n\\.\n' AS odd FROM sales.orders WHERE day > '2025-01-01' WITH CHECK OPTION;
CREATE MATERIALIZED VIEW sales.totals AS SELECT region, sum(amount) AS total FROM sales.orders GROUP BY region;
CREATE MATERIALIZED VIEW sales.totals_of_totals AS SELECT sum(total) AS total FROM sales.totals;
CREATE MATERIALIZED VIEW sales.not_filled AS SELECT 1 AS one WITH NO DATA;
CREATE UNIQUE INDEX ON sales.totals (region);
CREATE VIEW sales.first_of_circle AS SELECT 1 AS id, NULL::text AS t;
CREATE VIEW sales.second_of_circle AS SELECT id, t FROM sales.first_of_circle;
CREATE OR REPLACE VIEW sales.first_of_circle AS SELECT id, region AS t FROM (SELECT 1 AS id, 'x'::text AS region) s;
CREATE VIEW sales.grouped AS SELECT o.*, count(*) OVER (PARTITION BY region) AS n FROM sales.orders o;
CREATE VIEW sales.key_group AS SELECT c.id, c.price, sum(t.id) FROM sales.computed c JOIN sales.tree t ON t.id = c.id GROUP BY c.id;
CREATE RECURSIVE VIEW sales.numbers (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM numbers WHERE n < 5;

-- Indexes, statistics, text search, foreign data, publications --------------------------------------------------------
CREATE INDEX trgm ON sales.looks_like_sql USING gin (line extensions.gin_trgm_ops);
CREATE INDEX "ausdruck; --" ON sales.looks_like_sql (lower(line), (line || E'\nCOMMIT;\n')) WHERE line IS NOT NULL AND length(line) < 100;
CREATE INDEX brin_day ON sales.invoices USING brin (day) WITH (pages_per_range = 16);
ALTER TABLE sales.computed CLUSTER ON computed_pk;
ALTER TABLE sales.tree REPLICA IDENTITY FULL;
ALTER TABLE sales.tree SET (fillfactor = 70, autovacuum_enabled = false);
ALTER TABLE sales.tree ALTER parent SET STATISTICS 500;
CREATE STATISTICS sales.correlated (dependencies, ndistinct) ON region, day FROM sales.invoices;
CREATE TEXT SEARCH CONFIGURATION sales.plain (COPY = simple);
CREATE TEXT SEARCH DICTIONARY sales.dict (TEMPLATE = simple, stopwords = english);
ALTER TEXT SEARCH CONFIGURATION sales.plain ALTER MAPPING FOR word WITH sales.dict;
CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'no''where', dbname 'x');
CREATE USER MAPPING FOR nasty_reader SERVER far OPTIONS (user 'u', password 'p''w');
CREATE FOREIGN TABLE sales.far_away (a int OPTIONS (column_name 'b'), c text) SERVER far OPTIONS (table_name 't;');
CREATE PUBLICATION all_of_it FOR TABLE sales.tree, sales.chicken WITH (publish = 'insert');
CREATE UNLOGGED TABLE sales.scratch (a int);
INSERT INTO sales.scratch VALUES (1);

-- Row security and privileges -----------------------------------------------------------------------------------------
CREATE TABLE public.secrets (owner name DEFAULT current_user, secret text);
INSERT INTO public.secrets VALUES ('nasty_reader', 's1'), ('postgres', 's2');
ALTER TABLE public.secrets ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON public.secrets USING (owner = current_user) WITH CHECK (secret <> E'\nCOMMIT;\n');
CREATE POLICY "read; only" ON public.secrets AS RESTRICTIVE FOR SELECT TO nasty_reader USING (secret IS NOT NULL);
ALTER TABLE sales.orders OWNER TO nasty_owner;
ALTER FUNCTION sales.shout(text) OWNER TO nasty_owner;
ALTER VIEW sales.recent OWNER TO "Nasty Röle";
ALTER TYPE sales.mood OWNER TO nasty_owner;
GRANT USAGE ON SCHEMA sales, "select" TO nasty_reader, "Nasty Röle";
GRANT SELECT, UPDATE (secret) ON public.secrets TO nasty_reader WITH GRANT OPTION;
GRANT SELECT ON ALL TABLES IN SCHEMA sales TO nasty_reader;
REVOKE ALL ON FUNCTION sales.shout(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sales.shout(text) TO "Nasty Röle";
REVOKE ALL ON sales.empty_table FROM CURRENT_USER;
GRANT USAGE ON SEQUENCE sales.counter TO PUBLIC;
GRANT USAGE ON TYPE sales.mood TO nasty_reader;
GRANT USAGE ON FOREIGN SERVER far TO nasty_reader;
\if :v15
-- before 15 a pg_dump 15 or newer does not write this down
REVOKE USAGE ON SCHEMA public FROM PUBLIC;
\endif
GRANT USAGE, CREATE ON SCHEMA public TO nasty_owner;
ALTER DEFAULT PRIVILEGES FOR ROLE nasty_owner IN SCHEMA sales GRANT SELECT ON TABLES TO nasty_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE nasty_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO nasty_reader;

-- Comments on this and that -------------------------------------------------------------------------------------------
COMMENT ON FUNCTION sales.shout(text) IS 'shout''s; comment';
COMMENT ON CONSTRAINT computed_pk ON sales.computed IS E'two\nlines';
COMMENT ON TYPE sales.mood IS '$$ mood $$';
COMMENT ON INDEX sales.trgm IS '\N';
COMMENT ON POLICY own_rows ON public.secrets IS 'policy';
COMMENT ON EXTENSION hstore IS 'our own words';

-- Large objects -------------------------------------------------------------------------------------------------------
SELECT lo_from_bytea(424242, decode(repeat('00ff5c2e0a', 100000), 'hex'));
SELECT lo_from_bytea(424243, '');
SELECT lo_from_bytea(424244, convert_to(E'COMMIT;\n\\.\n''', 'UTF8'));
ALTER LARGE OBJECT 424242 OWNER TO nasty_owner;
GRANT SELECT ON LARGE OBJECT 424243 TO nasty_reader;
COMMENT ON LARGE OBJECT 424244 IS E'large\nCOMMIT;\n';
CREATE TABLE sales.documents (id int PRIMARY KEY, body oid);
INSERT INTO sales.documents VALUES (1, 424242), (2, 424243), (3, 424244);
REFRESH MATERIALIZED VIEW sales.totals;
