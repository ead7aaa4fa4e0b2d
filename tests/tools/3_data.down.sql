DROP VIEW order_notes;
ALTER TABLE orders ADD COLUMN old text;
CREATE INDEX orders_old ON orders (old);
UPDATE orders SET note = lower(note);
