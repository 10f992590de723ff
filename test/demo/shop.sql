-- The demo's database: a small web shop with about 100,000 rows.
SET client_min_messages = warning;
CREATE SCHEMA shop;
CREATE SCHEMA accounting;
CREATE SCHEMA reporting;
COMMENT ON SCHEMA shop IS 'What customers see';

CREATE TYPE shop.order_status AS ENUM ('new', 'paid', 'shipped', 'returned');
CREATE TYPE shop.address AS (street text, city text, postcode text, country char(2));
CREATE DOMAIN shop.email AS text CHECK (VALUE ~ '^[^@\s]+@[^@\s]+$');

CREATE TABLE shop.customers (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL,
  email shop.email NOT NULL UNIQUE,
  home shop.address,
  joined timestamptz NOT NULL,
  preferences jsonb NOT NULL DEFAULT '{}'
);
INSERT INTO shop.customers (name, email, home, joined, preferences)
SELECT (ARRAY['Ana', 'Bjørn', 'Chloé', 'Дмитрий', 'Ἑλένη', '芳子'])[1 + i % 6] || ' ' || i, 'customer' || i || '@example.com',
  ROW('Main Street ' || i % 200, (ARRAY['Oslo', 'Århus', 'Köln', 'Kraków'])[1 + i % 4], lpad((i % 99999)::text, 5, '0'), 'EU'::char(2))::shop.address,
  '2020-01-01'::timestamptz + i * interval '6 hours', jsonb_build_object('newsletter', i % 3 = 0, 'tags', ARRAY['a', 'b"c'])
FROM generate_series(1, 5000) i;

CREATE TABLE shop.products (
  id int PRIMARY KEY,
  name text NOT NULL,
  price numeric(10, 2) NOT NULL CHECK (price > 0),
  available daterange NOT NULL,
  photo oid,
  search tsvector GENERATED ALWAYS AS (to_tsvector('simple', name)) STORED
);
INSERT INTO shop.products (id, name, price, available)
SELECT i, 'Product ' || i || (ARRAY[' (blue)', '', ' "deluxe"', E' with\ttab'])[1 + i % 4], 0.99 + i % 500,
  daterange('2020-01-01'::date + i % 365, NULL)
FROM generate_series(1, 2000) i;
UPDATE shop.products SET photo = lo_from_bytea(0, decode(repeat(md5(id::text), 2000), 'hex')) WHERE id <= 20;
CREATE INDEX products_search ON shop.products USING gin (search);

CREATE TABLE shop.orders (
  id bigint NOT NULL,
  ordered date NOT NULL,
  customer bigint NOT NULL REFERENCES shop.customers,
  status shop.order_status NOT NULL DEFAULT 'new',
  note text,
  PRIMARY KEY (id, ordered)
) PARTITION BY RANGE (ordered);
CREATE TABLE shop.orders_2023 PARTITION OF shop.orders FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE shop.orders_2024 PARTITION OF shop.orders FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE shop.orders_2025 PARTITION OF shop.orders FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE SEQUENCE shop.order_number START 40001;
INSERT INTO shop.orders
SELECT i, '2023-01-01'::date + i % 1095, 1 + i % 5000, (ARRAY['new', 'paid', 'shipped', 'returned'])[1 + i % 4]::shop.order_status,
  CASE WHEN i % 50 = 0 THEN E'leave at the door;\n\\. ''thanks'' -- '  || i END
FROM generate_series(1, 40000) i;

CREATE TABLE shop.order_lines (
  "order" bigint NOT NULL,
  ordered date NOT NULL,
  line smallint NOT NULL,
  product int NOT NULL REFERENCES shop.products,
  quantity int NOT NULL CHECK (quantity > 0),
  PRIMARY KEY ("order", line),
  FOREIGN KEY ("order", ordered) REFERENCES shop.orders
);
INSERT INTO shop.order_lines
SELECT id, ordered, 1, 1 + id % 2000, 1 + id % 5 FROM shop.orders;
INSERT INTO shop.order_lines
SELECT id, ordered, 2, 1 + (id * 7) % 2000, 1 FROM shop.orders WHERE id % 4 = 0;

CREATE TABLE accounting.payments (
  id uuid PRIMARY KEY,
  "order" bigint NOT NULL,
  ordered date NOT NULL,
  amount numeric(12, 2) NOT NULL,
  paid_at timestamptz NOT NULL,
  raw bytea NOT NULL,
  FOREIGN KEY ("order", ordered) REFERENCES shop.orders
);
INSERT INTO accounting.payments
SELECT md5(id::text)::uuid, id, ordered, id % 1000 + 0.5, ordered + interval '1 day', decode(md5('p' || id), 'hex')
FROM shop.orders WHERE status <> 'new' LIMIT 10000;

CREATE FUNCTION accounting.no_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'payments are not changed';
END
$$;
CREATE TRIGGER payments_stay BEFORE UPDATE ON accounting.payments FOR EACH ROW EXECUTE FUNCTION accounting.no_change();

CREATE VIEW reporting.open_orders AS
  SELECT o.id, c.name FROM shop.orders o JOIN shop.customers c ON c.id = o.customer WHERE o.status = 'new';
CREATE MATERIALIZED VIEW reporting.sales_by_month AS
  SELECT date_trunc('month', l.ordered) AS month, sum(l.quantity * p.price) AS total
  FROM shop.order_lines l JOIN shop.products p ON p.id = l.product GROUP BY 1;
CREATE UNIQUE INDEX ON reporting.sales_by_month (month);
