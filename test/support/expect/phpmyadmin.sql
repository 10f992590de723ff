-- phpMyAdmin SQL Dump
-- version 5.2.1
-- https://www.phpmyadmin.net/
--
-- Хост: localhost
-- Generation Time: May 02, 2024 at 03:06 AM
-- Версия сервера: 5.7.40
-- Версия PHP: 8.2.12

SET SQL_MODE = "NO_AUTO_VALUE_ON_ZERO";
START TRANSACTION;
SET time_zone = "+00:00";


/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!40101 SET @OLD_CHARACTER_SET_RESULTS=@@CHARACTER_SET_RESULTS */;
/*!40101 SET @OLD_COLLATION_CONNECTION=@@COLLATION_CONNECTION */;
/*!40101 SET NAMES utf8mb4 */;

--
-- База данных: `shop`
--

DELIMITER $$
--
-- Procedures
--
DROP PROCEDURE IF EXISTS `count_orders`$$
CREATE DEFINER=`root`@`localhost` PROCEDURE `count_orders` (IN `lowest` INT)   BEGIN
  SELECT count(*) FROM orders WHERE id >= lowest;
END$$

--
-- Functions
--
CREATE DEFINER=`root`@`localhost` FUNCTION `doubled` (`n` INT) RETURNS INT(11) DETERMINISTIC RETURN n * 2$$

DELIMITER ;

-- --------------------------------------------------------

--
-- Table structure for table `orders`
--

DROP TABLE IF EXISTS `orders`;
CREATE TABLE IF NOT EXISTS `orders` (
  `id` int(11) NOT NULL,
  `name` varchar(50) DEFAULT NULL,
  `note` longblob DEFAULT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8 COLLATE=utf8_unicode_ci;

--
-- Dumping data for table `orders`
--

INSERT INTO `orders` (`id`, `name`, `note`) VALUES
(1, 'it''s; one', 0x00ff27),
(2, 'back\\slash \' quote', NULL);

--
-- Triggers `orders`
--
DROP TRIGGER IF EXISTS `orders_upper`;
DELIMITER $$
CREATE TRIGGER `orders_upper` BEFORE INSERT ON `orders` FOR EACH ROW SET NEW.name = upper(NEW.name)
$$
DELIMITER ;

-- --------------------------------------------------------

--
-- Stand-in structure for view `names`
-- (See below for the actual view)
--
DROP VIEW IF EXISTS `names`;
CREATE TABLE IF NOT EXISTS `names` (
`name` varchar(50)
);

-- --------------------------------------------------------

--
-- Structure for view `names`
--
DROP TABLE IF EXISTS `names`;

DROP VIEW IF EXISTS `names`;
CREATE ALGORITHM=UNDEFINED DEFINER=`root`@`localhost` SQL SECURITY DEFINER VIEW `names`  AS SELECT `orders`.`name` AS `name` FROM `orders` ;

--
-- Indexes for dumped tables
--

--
-- Indexes for table `orders`
--
ALTER TABLE `orders`
  ADD PRIMARY KEY (`id`),
  ADD KEY `name` (`name`);

--
-- AUTO_INCREMENT for dumped tables
--

--
-- AUTO_INCREMENT for table `orders`
--
ALTER TABLE `orders`
  MODIFY `id` int(11) NOT NULL AUTO_INCREMENT, AUTO_INCREMENT=3;

DELIMITER $$
--
-- Events
--
DROP EVENT IF EXISTS `nightly`$$
CREATE DEFINER=`root`@`localhost` EVENT `nightly` ON SCHEDULE EVERY 1 DAY STARTS '2024-05-01 00:00:00' ON COMPLETION NOT PRESERVE ENABLE DO DELETE FROM orders WHERE id < 0$$

DELIMITER ;
SET FOREIGN_KEY_CHECKS=1;
COMMIT;

/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;
/*!40101 SET CHARACTER_SET_RESULTS=@OLD_CHARACTER_SET_RESULTS */;
/*!40101 SET COLLATION_CONNECTION=@OLD_COLLATION_CONNECTION */;
