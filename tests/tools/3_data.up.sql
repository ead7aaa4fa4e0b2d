ALTER TYPE mood ADD VALUE 'calm' AFTER 'sad';
UPDATE orders SET note = upper(note);
DROP INDEX orders_old;
ALTER TABLE orders DROP COLUMN old;
CREATE VIEW order_notes AS SELECT id, note FROM orders;
