-- A web shop for the demo: some 130,000 rows, everything that a real one has.
CREATE TABLE customers (
  id int unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name varchar(80) NOT NULL,
  email varchar(120) NOT NULL UNIQUE,
  address json,
  since date NOT NULL,
  newsletter bit(1) NOT NULL DEFAULT b'0',
  KEY by_name (name)
) COMMENT 'People who buy; "quoted" and ''quoted''';
INSERT INTO customers (name, email, address, since, newsletter)
  SELECT concat('Kundin Nº ', seq, ' 😀'), concat('c', seq, '@example.com'),
    json_object('street', concat('Straße ', seq), 'zip', 10000 + seq), '2020-01-01' + INTERVAL seq % 2000 DAY, seq % 2
  FROM seq_1_to_10000;

CREATE TABLE products (
  id int unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name varchar(80) NOT NULL,
  price decimal(10,2) NOT NULL CHECK (price >= 0),
  gross decimal(10,2) GENERATED ALWAYS AS (price * 1.19) STORED,
  picture mediumblob,
  kind enum('book', 'toy', 'other') NOT NULL DEFAULT 'other',
  FULLTEXT KEY words (name)
);
INSERT INTO products (name, price, picture, kind)
  SELECT concat('Thing ', seq), seq % 500 + 0.99, unhex(repeat(sha2(seq, 256), 60)), elt(seq % 3 + 1, 'book', 'toy', 'other')
  FROM seq_1_to_500;

CREATE TABLE orders (
  id int unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  customer int unsigned NOT NULL,
  placed datetime(3) NOT NULL,
  state enum('new', 'paid', 'sent') NOT NULL DEFAULT 'new',
  FOREIGN KEY (customer) REFERENCES customers (id)
);
INSERT INTO orders (customer, placed, state)
  SELECT seq % 10000 + 1, '2024-01-01' + INTERVAL seq * 13 MINUTE, elt(seq % 3 + 1, 'new', 'paid', 'sent') FROM seq_1_to_30000;

CREATE TABLE order_lines (
  `order` int unsigned NOT NULL,
  product int unsigned NOT NULL,
  pieces smallint unsigned NOT NULL,
  PRIMARY KEY (`order`, product),
  FOREIGN KEY (`order`) REFERENCES orders (id) ON DELETE CASCADE,
  FOREIGN KEY (product) REFERENCES products (id)
);
INSERT INTO order_lines SELECT o.id, (o.id + n.seq * 7) % 500 + 1, n.seq FROM orders o JOIN seq_1_to_2 n;

CREATE TABLE invoices (
  id int unsigned NOT NULL,
  issued date NOT NULL,
  total decimal(12,2) NOT NULL,
  PRIMARY KEY (id, issued)
) PARTITION BY RANGE (year(issued)) (
  PARTITION y2024 VALUES LESS THAN (2025),
  PARTITION later VALUES LESS THAN MAXVALUE
);
INSERT INTO invoices
  SELECT o.id, date(o.placed), sum(l.pieces * p.gross) FROM orders o JOIN order_lines l ON l.`order` = o.id
  JOIN products p ON p.id = l.product WHERE o.state <> 'new' GROUP BY o.id;

CREATE SEQUENCE next_invoice START WITH 30001;
CREATE TABLE log (at timestamp(6) NOT NULL DEFAULT current_timestamp(6), what text NOT NULL);
CREATE VIEW paid AS SELECT o.*, c.name FROM orders o JOIN customers c ON c.id = o.customer WHERE o.state <> 'new';
CREATE VIEW sales_by_month AS
  SELECT date_format(issued, '%Y-%m') AS month, sum(total) AS total FROM invoices GROUP BY 1;

DELIMITER //
CREATE TRIGGER order_changes AFTER UPDATE ON orders FOR EACH ROW
BEGIN
  -- what happened; for the people who ask
  INSERT INTO log (what) VALUES (concat('order ', NEW.id, ': ', OLD.state, ' → ', NEW.state));
END//
CREATE PROCEDURE close_month(IN wanted char(7))
BEGIN
  UPDATE orders SET state = 'sent' WHERE state = 'paid' AND date_format(placed, '%Y-%m') = wanted;
END//
CREATE EVENT tidy_log ON SCHEDULE EVERY 1 DAY DO DELETE FROM log WHERE at < now() - INTERVAL 90 DAY//
DELIMITER ;
CALL close_month('2024-01');
