-- Names and programs that a reader of dumps could take for something else.
SET sql_mode='';
CREATE TABLE `select` (`begin` int, `end` date, `table` varchar(20) COMMENT 'a */ b SELECT TABLE', KEY `union` (`begin`)) COMMENT='/* x */ -- y';
INSERT INTO `select` VALUES (1,'2020-01-01','x*/y');
CREATE TABLE `__proto__` (id int); INSERT INTO `__proto__` VALUES (1), (2); CREATE TABLE `constructor` (id int);
CREATE TABLE `a*/b` (id int primary key, g int generated always as (id + 1) virtual, c varchar(10) check (c <> '*/'), j json);
INSERT INTO `a*/b` (id, c, j) VALUES (-1, 'a', '{"a": "--"}');
CREATE TABLE `p` (id int, s varchar(10)) PARTITION BY LIST COLUMNS(s) (PARTITION p0 VALUES IN ('x*/y', 'z''\\'));
INSERT INTO p VALUES (1,'x*/y');
CREATE VIEW `v union` AS SELECT '/* not a comment */' AS `a`, "it's; -- x" AS b, `begin` FROM `select` WHERE `table` NOT LIKE '%*/%';
CREATE VIEW v2 AS SELECT `into`.`begin` AS `outfile` FROM `select` `into` JOIN `a*/b` ON `a*/b`.id = `into`.`begin`;
DELIMITER //
CREATE PROCEDURE `begin`(begin int, `end` date)
  COMMENT 'DROP DATABASE x; -- '
BEGIN
  DECLARE done INT DEFAULT 0; DECLARE i int default if(begin>1,2,3);
  DECLARE c CURSOR FOR SELECT `begin` FROM `select`;
  DECLARE CONTINUE HANDLER FOR NOT FOUND SET done = 1;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
  START TRANSACTION;
  OPEN c;
  l: LOOP
    FETCH c INTO i;
    IF done THEN LEAVE l; END IF;
    CASE WHEN i = 1 THEN INSERT INTO `select` (`begin`) VALUES (case i when 1 then 2 else 3 end); ELSE BEGIN END; END CASE;
    CASE i WHEN 5 THEN SET i = 1; WHEN 6 THEN IF i THEN SET i = 2; ELSE SET i = 3; END IF; ELSE SET i = 4; END CASE;
  END LOOP l;
  WHILE i < 5 DO SET i = i + 1; END WHILE;
  REPEAT SET i = i - 1; UNTIL i < 0 END REPEAT;
  /*! SET @x = 1; */
  -- a comment; it's
  # another ' one
  SELECT SQL_NO_CACHE /*+ MAX_EXECUTION_TIME(1000) */ 1;
  GRANT SELECT ON *.* TO nobody; DROP DATABASE IF EXISTS nothing_there; SET GLOBAL max_connect_errors = 100; KILL 999999;
  COMMIT;
END//
CREATE PROCEDURE nested() BEGIN BEGIN SELECT 1; END; BEGIN DECLARE EXIT HANDLER FOR 1062, 1146 BEGIN SELECT 2; END; SELECT 3; END; END//
CREATE FUNCTION f(a int) RETURNS varchar(20) DETERMINISTIC RETURN CASE WHEN a THEN if(a > 1, 'x;', 'y') ELSE repeat('a', 3) END//
CREATE FUNCTION f2(a int) RETURNS int DETERMINISTIC IF a THEN RETURN 1; ELSE RETURN 2; END IF//
create trigger tr1 before insert on `select` for each row if new.`begin` > 5 then set new.`begin` = 5; elseif new.`begin` < 0 then set new.`begin` = if(1,0,1); end if//
CREATE TRIGGER tr2 AFTER INSERT ON `select` FOR EACH ROW BEGIN SET @a = 1; SET @b = (SELECT count(*) FROM p); END//
CREATE TRIGGER tr3 AFTER INSERT ON `select` FOR EACH ROW PRECEDES tr2 BEGIN IF @a THEN SET @a = 2; END IF; END//
CREATE EVENT ev ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' ON COMPLETION PRESERVE DISABLE COMMENT 'do; begin' DO BEGIN DELETE FROM p; UPDATE p SET id = 1; END//
CREATE EVENT ev2 ON SCHEDULE EVERY 1 DAY DO CALL nested()//
DELIMITER ;
