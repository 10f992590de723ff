-- What MySQL and MariaDB share. Loaded with: --binary-mode --comments --default-character-set=utf8mb4
SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00', foreign_key_checks = 0;

-- Types ---------------------------------------------------------------------------------------------------------------
CREATE TABLE numbers (
  id int unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, t tinyint, tu tinyint(3) unsigned zerofill, s smallint, m mediumint, i int,
  b bigint, bu bigint unsigned, d decimal(65,30), f float, dbl double, flag bool, one bit(1), bits bit(64) DEFAULT b'101'
) AUTO_INCREMENT = 5000;
INSERT INTO numbers VALUES
  (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, false, b'0', b'0'),
  (1, -128, 7, -32768, -8388608, -2147483648, -9223372036854775808, 18446744073709551615,
   -12345678901234567890123456789012345.123456789012345678901234567890, 1.17549e-38, -1.7976931348623157e308, true, b'1', ~0),
  (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (3, 127, 255, 32767, 8388607, 2147483647, 9223372036854775807, 1, 0.1, 3.4e38, 0.1, true, b'1', 0x5c27000a0d1a2200);
CREATE TABLE times (
  id int PRIMARY KEY, d date, t time(6), dt datetime(6), ts timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, y year
) COMMENT 'it''s "quoted"; -- and \\ more \n';
INSERT INTO times VALUES
  (1, '0000-00-00', '-838:59:59', '0000-00-00 00:00:00', '1970-01-01 00:00:01', 0),
  (2, '9999-12-31', '838:59:59', '9999-12-31 23:59:59.999999', '2038-01-19 03:14:07', 2155),
  (3, '2024-02-00', '00:00:00.000001', '2024-03-31 02:30:00', '2024-03-31 02:30:00', 1901),
  (4, NULL, NULL, NULL, '2024-10-27 00:30:00', NULL);
CREATE TABLE texts (
  id int PRIMARY KEY, c char(10), v varchar(2000), l varchar(50) CHARACTER SET latin1 COLLATE latin1_bin, bin binary(6), vb varbinary(300),
  tt tinytext, tx text, mt mediumtext, lt longtext, tb tinyblob, bl blob, lb longblob,
  e enum('', 'a''b', 'c;d', 'ü\\'), st set('x', 'y', 'z'), j json,
  u varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
);
INSERT INTO texts (id, v, l, bin, vb, tx, bl, e, st, j, u) VALUES
  (1, '\! touch /tmp/backup_scripts_was_here', 'é', 'a\0b', 0x00ff5c270a0d1a, '\nDELIMITER ;;\nDROP TABLE numbers;;\n', '', 'a''b', 'x,z', '{"k": "it\'s \\" \\\\ 😀", "n": [1, 2.5, null]}', '😀 𝄞 ﷽'),
  (2, 'tab\t nul\0 cr\r lf\n crlf\r\n ctrl-z\Z bs\\ quote'' dquote" tick` percent% under_', NULL, '', '', '-- Dump completed on 2001-01-01\n', NULL, '', '', '[]', ''),
  (3, '*/ ; /* -- # \\', 'x', 0x5c5c5c275c27, 0x27, 'system touch /tmp/backup_scripts_was_here\n\\. /etc/passwd\nsource /etc/passwd\n', 'x', 'ü\\', 'y', 'null', 'NULL'),
  (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE shapes (
  id int PRIMARY KEY, p point NOT NULL, l linestring, g geometry, poly polygon, mp multipoint, gc geometrycollection, SPATIAL INDEX (p)
);
INSERT INTO shapes VALUES (1, ST_GeomFromText('POINT(1 -2.5)'), ST_GeomFromText('LINESTRING(0 0,1 1)'), ST_GeomFromText('POINT(92 39)'),
  ST_GeomFromText('POLYGON((0 0,0 4,4 4,4 0,0 0),(1 1,1 2,2 2,2 1,1 1))'), ST_GeomFromText('MULTIPOINT(1 1,2 2)'),
  ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,2 2))'));

-- Names ---------------------------------------------------------------------------------------------------------------
CREATE TABLE `täble ☃; -- "x" 'y' /* */` (`cölumn ``tick`` \ .` int PRIMARY KEY, `select` text, `;` int);
INSERT INTO `täble ☃; -- "x" 'y' /* */` VALUES (1, 'it', 2);
CREATE TABLE `select` (`from` int, `line
break` int, KEY `key ``;``` (`from`));
INSERT INTO `select` VALUES (1, 2);
CREATE TABLE `a/b\\c.d%e` (id int);
CREATE TABLE empty_one (id int PRIMARY KEY);

-- Keys, checks, generated columns, partitions -------------------------------------------------------------------------
CREATE TABLE parent (id int PRIMARY KEY, favourite int, CONSTRAINT fk_favourite FOREIGN KEY (favourite) REFERENCES child (id) ON DELETE SET NULL);
CREATE TABLE child (id int PRIMARY KEY, parent int NOT NULL, me int,
  CONSTRAINT fk_parent FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE,
  CONSTRAINT fk_me FOREIGN KEY (me) REFERENCES child (id));
INSERT INTO parent VALUES (1, 2), (2, NULL);
INSERT INTO child VALUES (1, 1, 2), (2, 1, 1);
CREATE TABLE computed (
  id int PRIMARY KEY, price decimal(10,2) NOT NULL, tax decimal(10,2) GENERATED ALWAYS AS (price * 0.19) VIRTUAL,
  label varchar(40) GENERATED ALWAYS AS (concat('no. ', id, '; ''')) STORED, later int DEFAULT (7 + 1), UNIQUE KEY (label),
  CONSTRAINT positive CHECK (price >= 0 AND label <> ';'), FULLTEXT KEY words (label), KEY down (price DESC)
);
INSERT INTO computed (id, price) VALUES (1, 10), (2, 20.5);
CREATE TABLE by_range (id int NOT NULL, day date NOT NULL, PRIMARY KEY (id, day)) PARTITION BY RANGE (to_days(day))
  (PARTITION p0 VALUES LESS THAN (to_days('2024-01-01')) COMMENT 'old; ''', PARTITION p1 VALUES LESS THAN MAXVALUE);
INSERT INTO by_range VALUES (1, '2023-05-05'), (2, '2025-05-05');
CREATE TABLE by_list (id int, c int) PARTITION BY LIST (c) SUBPARTITION BY HASH (id) SUBPARTITIONS 2
  (PARTITION a VALUES IN (1, 2), PARTITION b VALUES IN (3, NULL));
INSERT INTO by_list VALUES (1, 1), (2, NULL), (3, 3);
CREATE TABLE no_key (a int, b text, KEY prefix (b(10)));
INSERT INTO no_key VALUES (1, 'twice'), (1, 'twice'), (NULL, NULL);
CREATE TABLE squeezed (id int PRIMARY KEY, t text) ROW_FORMAT = COMPRESSED KEY_BLOCK_SIZE = 4;
INSERT INTO squeezed VALUES (1, repeat('x', 5000));
CREATE TABLE old_latin (id int PRIMARY KEY, t varchar(50) CHARACTER SET latin1 COLLATE latin1_german1_ci) DEFAULT CHARSET latin1 COLLATE latin1_german1_ci;
INSERT INTO old_latin VALUES (1, 'Grüße');

-- Routines, triggers, events, views -----------------------------------------------------------------------------------
DELIMITER //
CREATE TRIGGER `before ``;`` insert` BEFORE INSERT ON parent FOR EACH ROW
BEGIN
  -- a comment; with 'quotes and ;; and \! and DELIMITER
  /* another
     one */
  IF NEW.favourite = -1 THEN SET NEW.favourite = NULL; END IF;
END//
CREATE TRIGGER second_one BEFORE INSERT ON parent FOR EACH ROW FOLLOWS `before ``;`` insert` SET NEW.id = NEW.id + 0//
CREATE TRIGGER after_update AFTER UPDATE ON numbers FOR EACH ROW BEGIN DECLARE x text DEFAULT ';;\'//'; END//
CREATE DEFINER = 'nasty_owner'@'localhost' PROCEDURE work(IN n int, OUT total bigint) COMMENT 'it''s; "fine"'
work: BEGIN
  DECLARE done bool DEFAULT false;
  DECLARE c CURSOR FOR SELECT id FROM numbers;
  DECLARE CONTINUE HANDLER FOR NOT FOUND SET done = true;
  -- keep this comment
  SET total = 0;
  WHILE n > 0 DO
    SET total = total + n, n = n - 1; # and this one
  END WHILE;
  SELECT "double; quotes", 'single; ''quotes', `id` FROM numbers WHERE id = 1 /* keep; me */ INTO @a, @b, @c;
  CASE WHEN n = 0 THEN LEAVE work; ELSE BEGIN END; END CASE;
END//
SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'//
CREATE FUNCTION backslash() RETURNS text DETERMINISTIC NO SQL BEGIN DECLARE "a;b" text DEFAULT '\'; RETURN concat('\;', "a;b", '\'); END//
CREATE VIEW ansi AS SELECT '\' AS "back""slash", "id" FROM numbers//
SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'//
CREATE FUNCTION `funny ``name``; ☃`(a int) RETURNS varchar(20) CHARSET utf8mb4 DETERMINISTIC RETURN concat('☃', a)//
CREATE EVENT cleanup ON SCHEDULE EVERY 1 DAY STARTS '2020-01-01 03:00:00' ON COMPLETION PRESERVE DISABLE COMMENT 'it''s; clean'
  DO BEGIN DELETE FROM empty_one WHERE id < 0; /* stays */ DELETE FROM empty_one WHERE id = -1; END//
CREATE EVENT later ON SCHEDULE AT '2037-01-01 00:00:00' DO SET @x = 1//
DELIMITER ;
CREATE VIEW z_middle AS SELECT id, label FROM computed WHERE price > 0 WITH CASCADED CHECK OPTION;
CREATE DEFINER = 'nasty_owner'@'localhost' SQL SECURITY INVOKER VIEW a_top AS SELECT id, label, '; -- ''\\' AS odd FROM z_middle;
CREATE VIEW uses_function AS SELECT `funny ``name``; ☃`(id) AS x FROM a_top;
-- MariaDB writes the database's name in front of all that such a view names
CREATE VIEW over_others AS SELECT m.id, `funny ``name``; ☃`(m.id) AS f, extract(year FROM c.day) AS y
  FROM (z_middle m LEFT JOIN (a_top JOIN by_range c) ON a_top.id = m.id), information_schema.character_sets i WHERE i.character_set_name = 'ascii';
CREATE VIEW over_over_others AS SELECT * FROM over_others UNION SELECT 1, 'from `x`.`y`', (SELECT count(*) FROM uses_function) FROM mysql.db WHERE false;

-- Tables that no snapshot covers --------------------------------------------------------------------------------------
CREATE TABLE old_myisam (id int AUTO_INCREMENT PRIMARY KEY, t text, FULLTEXT KEY (t)) ENGINE = MyISAM;
INSERT INTO old_myisam VALUES (1, 'words; words');
CREATE TABLE in_memory (id int PRIMARY KEY) ENGINE = MEMORY;
INSERT INTO in_memory VALUES (1);

-- A row that takes more than one packet of the protocol -----------------------------------------------------------------
CREATE TABLE big (id int PRIMARY KEY, a longblob, b longtext);
INSERT INTO big VALUES (1, repeat(0x00ff5c270a, 200000), NULL), (2, NULL, repeat('it''s \\ ü ', 20000)), (3, '', '');
