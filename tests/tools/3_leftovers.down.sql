DROP VIEW numbers;
ALTER TABLE orders ADD COLUMN old text;
CREATE INDEX orders_old ON orders (old);
