-- What only MySQL has; after nasty-mysql-common.sql.
CREATE TABLE functional (id int PRIMARY KEY, t varchar(50), tags json, hidden int DEFAULT 4 INVISIBLE, when_made datetime DEFAULT (now() + INTERVAL 1 DAY),
  u binary(16) DEFAULT (uuid_to_bin('123e4567-e89b-12d3-a456-426655440000')),
  KEY lowered ((lower(t))), KEY many ((CAST(tags->'$[*]' AS unsigned ARRAY))), KEY unseen (t) INVISIBLE,
  CONSTRAINT loose CHECK (id > 100) NOT ENFORCED);
INSERT INTO functional (id, t, tags, hidden) VALUES (1, 'ABC', '[1, 2, 3]', 9);
CREATE JSON RELATIONAL DUALITY VIEW a_documents AS SELECT json_duality_object(WITH(UPDATE) '_id': id, 'it''s': t) FROM functional;
CREATE TABLE located (id int PRIMARY KEY, p point NOT NULL SRID 4326, SPATIAL INDEX (p));
INSERT INTO located VALUES (1, ST_GeomFromText('POINT(53.55 9.99)', 4326));
CREATE TABLE embedded (id int PRIMARY KEY, v vector(3));
INSERT INTO embedded VALUES (1, to_vector('[1,2,3]'));
SET sql_generate_invisible_primary_key = ON;
CREATE TABLE no_visible_key (t text);
SET sql_generate_invisible_primary_key = OFF;
INSERT INTO no_visible_key VALUES ('x');
CREATE TABLE with_column_rights (a int, b varchar(20) COLLATE utf8mb4_ja_0900_as_cs_ks);
ANALYZE TABLE numbers UPDATE HISTOGRAM ON s WITH 8 BUCKETS;
