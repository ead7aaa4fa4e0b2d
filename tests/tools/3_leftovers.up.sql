ALTER TYPE mood ADD VALUE 'calm' AFTER 'sad';
DROP INDEX orders_old;
ALTER TABLE orders DROP COLUMN old;
CREATE VIEW numbers AS SELECT 1 AS number;
