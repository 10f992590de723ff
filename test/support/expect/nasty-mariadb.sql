-- What only MariaDB has; after nasty-mysql-common.sql.
CREATE SEQUENCE invoice_no START WITH 100 INCREMENT BY 5 CACHE 10;
SELECT nextval(invoice_no), nextval(invoice_no) INTO @a, @b;
CREATE TABLE numbered (id bigint PRIMARY KEY DEFAULT nextval(invoice_no), t text);
INSERT INTO numbered (t) VALUES ('from a sequence');
CREATE SEQUENCE `s``q`;
CREATE TABLE renumbered (id int PRIMARY KEY, n bigint DEFAULT (nextval(`s``q`) * 2 + lastval(invoice_no)) COMMENT 'n', t varchar(99) DEFAULT (concat('it''s nextval(`x`.`y`)', setval(`s``q`, 5))));
CREATE TABLE numbered_history (id int PRIMARY KEY, n bigint DEFAULT nextval(`s``q`)) WITH SYSTEM VERSIONING;
CREATE TRIGGER numbers BEFORE INSERT ON renumbered FOR EACH ROW SET NEW.id = nextval(`s``q`);
CREATE VIEW all_numbered AS SELECT * FROM numbered;
CREATE VIEW next_number AS SELECT nextval(`s``q`) AS n;
CREATE TABLE odd_types (u uuid DEFAULT uuid() PRIMARY KEY, six inet6, four inet4, hidden int INVISIBLE DEFAULT 4, packed text COMPRESSED);
INSERT INTO odd_types (u, six, four, hidden, packed) VALUES ('123e4567-e89b-12d3-a456-426655440000', '2001:db8::ff00:42:8329', '192.0.2.1', 9, repeat('abc', 1000));
CREATE TABLE versioned (id int PRIMARY KEY, t text) WITH SYSTEM VERSIONING;
SET @@timestamp = 1700000000;
INSERT INTO versioned VALUES (1, 'first'), (2, 'gone');
SET @@timestamp = 1700000100;
UPDATE versioned SET t = 'second' WHERE id = 1;
DELETE FROM versioned WHERE id = 2;
SET @@timestamp = DEFAULT;
CREATE TABLE periods (id int, s date, e date, PERIOD FOR validity (s, e), UNIQUE (id, validity WITHOUT OVERLAPS));
INSERT INTO periods VALUES (1, '2024-01-01', '2024-06-01'), (1, '2024-06-01', '2025-01-01');
CREATE TABLE in_aria (id int PRIMARY KEY, t text) ENGINE = Aria TRANSACTIONAL = 1;
INSERT INTO in_aria VALUES (1, 'x');
DELIMITER //
SET sql_mode = 'ORACLE'//
CREATE PACKAGE tools AS
  FUNCTION twice(n int) RETURN int;
END//
CREATE PACKAGE BODY tools AS
  FUNCTION twice(n int) RETURN int AS BEGIN RETURN n * 2; /* kept */ END;
END//
CREATE PROCEDURE ora AS x varchar2(20) := 'a;b'; BEGIN NULL; END;//
SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'//
CREATE AGGREGATE FUNCTION product(x double) RETURNS double
BEGIN
  DECLARE r double DEFAULT 1;
  DECLARE CONTINUE HANDLER FOR NOT FOUND RETURN r;
  LOOP FETCH GROUP NEXT ROW; SET r = r * x; END LOOP;
END//
DELIMITER ;
